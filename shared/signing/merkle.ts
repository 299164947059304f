/**
 * Many statements under one signature: the Merkle tree of RFC 6962 section 2.1. Whoever knows the root can check that a
 * statement is one of those that it stands for, by about log2(count) hashes and without seeing the others.
 *
 * Hashes are SHA-256, of 0x00 and a leaf or of 0x01 and two nodes, so that a leaf never passes for a node. Level by level
 * each two neighbours are joined and an odd last one rises as it is, which is the tree that the RFC defines from the top.
 */
import { hash } from 'node:crypto';

/** SHA-256. */
export const HASH_BYTES = 32;

/** Where a leaf stands in its tree. */
export interface Inclusion {
  /** From 0. */
  readonly index: number;
  /** Leaves of the tree. */
  readonly count: number;
  /** The neighbours' hashes on the way to the root, 32 bytes each, one after the other. */
  readonly path: Uint8Array;
}

/** The tree over one leaf or more. */
export function merkleTree(leaves: readonly Uint8Array[]): { root: Uint8Array; inclusion(index: number): Inclusion } {
  if (leaves.length === 0) throw new RangeError('leaves: expected at least 1, got 0');
  const levels = [leaves.map(hashLeaf)];
  for (let level = levels[0]; level.length > 1; levels.push(level)) level = joined(level);
  return {
    root: levels[levels.length - 1][0],
    inclusion: (index) => ({ index, count: leaves.length, path: pathOf(levels, index) }),
  };
}

/** The root of the tree in which `leaf` stands there, or undefined when there is no such place. */
export function merkleRoot(leaf: Uint8Array, { index, count, path }: Inclusion): Uint8Array | undefined {
  if (!(Number.isInteger(index) && index >= 0 && index < count)) return undefined;
  let node = hashLeaf(leaf);
  let used = 0;
  for (let at = index, width = count; width > 1; at >>>= 1, width = Math.ceil(width / 2)) {
    if ((at ^ 1) >= width) continue; // an odd last one
    const neighbour = path.subarray(used, used + HASH_BYTES);
    if (neighbour.length < HASH_BYTES) return undefined;
    node = at % 2 === 0 ? hashNode(node, neighbour) : hashNode(neighbour, node);
    used += HASH_BYTES;
  }
  return used === path.length ? node : undefined;
}

function joined(level: readonly Uint8Array[]): Uint8Array[] {
  const next: Uint8Array[] = [];
  for (let i = 0; i + 1 < level.length; i += 2) next.push(hashNode(level[i], level[i + 1]));
  if (level.length % 2 === 1) next.push(level[level.length - 1]);
  return next;
}

function pathOf(levels: readonly (readonly Uint8Array[])[], index: number): Uint8Array {
  const neighbours: Uint8Array[] = [];
  let at = index;
  for (const level of levels) {
    const neighbour = level[at ^ 1];
    if (neighbour !== undefined) neighbours.push(neighbour);
    at >>>= 1;
  }
  const path = new Uint8Array(HASH_BYTES * neighbours.length);
  neighbours.forEach((neighbour, i) => void path.set(neighbour, HASH_BYTES * i));
  return path;
}

function hashLeaf(leaf: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + leaf.length);
  bytes.set(leaf, 1);
  return hash('sha256', bytes, 'buffer');
}

function hashNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + 2 * HASH_BYTES);
  bytes[0] = 1;
  bytes.set(left, 1);
  bytes.set(right, 1 + HASH_BYTES);
  return hash('sha256', bytes, 'buffer');
}
