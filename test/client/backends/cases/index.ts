/**
 * What a training back end must compute, as a table: operations over shapes, strides, paddings and types, each run forward
 * and, unless it says `constant`, backward. Adding a row adds its tests on every back end.
 */
import type { Case } from './case.js';
import { BINARY, UNARY } from './elementwise.js';
import { CONVOLUTIONS, POOLING, RESIZING } from './images.js';
import { BATCHED_PRODUCTS, FUSED_PRODUCTS, LAYERS, PRODUCTS } from './products.js';
import { REDUCTIONS, SCANS } from './reductions.js';
import { SECOND_GRADIENTS } from './second.js';
import { JOINS, REARRANGEMENTS, SELECTIONS } from './shapes.js';

export type { Case, Tf } from './case.js';

export const CASES: readonly Case[] = [
  ...PRODUCTS,
  ...BATCHED_PRODUCTS,
  ...FUSED_PRODUCTS,
  ...LAYERS,
  ...CONVOLUTIONS,
  ...POOLING,
  ...RESIZING,
  ...UNARY,
  ...BINARY,
  ...REDUCTIONS,
  ...SCANS,
  ...REARRANGEMENTS,
  ...JOINS,
  ...SELECTIONS,
  ...SECOND_GRADIENTS,
];
