/** Trains the models in a worker thread and posts the digest of what came out. */
import { parentPort } from 'node:worker_threads';
import { selectBackend } from '../../../client/backends/index.js';
import { trainingDigest } from './models.js';

const { tf } = await selectBackend('wasm');
parentPort?.postMessage(await trainingDigest(tf));
