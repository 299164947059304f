#!/usr/bin/env node
// The file behind `starling`: in the repository with its permission to be run, which a compiler does not give to what it makes.
import '../dist/cli/main.js';
