/**
 * A server and a client over real gRPC, made before each test and closed after it.
 */
import assert from 'node:assert/strict';
import { connectAdmin, type GrpcAdmin } from '../../client/grpc/admin.js';
import type { ChannelOptions } from '../../client/grpc/channel.js';
import { connectGrpc, type GrpcParticipant } from '../../client/grpc/participant.js';
import type { GrpcLimits } from '../../server/grpc/limits.js';
import { type GrpcServer, serveGrpc } from '../../server/grpc/server.js';
import { type Planned, unwitnessed, type Witness } from '../../server/grpc/witness.js';
import { FlError } from '../../shared/errors.js';
import type { SignedUpdateHeader } from '../../shared/service.js';
import { DelayProxy } from '../support/delay-proxy.js';
import { ADMIN_TOKEN, FakeAdmin, FakeParticipant, UPDATE } from './fake-coordinator.js';

export const SIGNATURE = new Uint8Array(64).fill(5);

export interface Link {
  participant: FakeParticipant;
  admin: FakeAdmin;
  server: GrpcServer;
  /** Between the two when `latencyMs` is given; 0 adds no delay. */
  proxy: DelayProxy;
  client: GrpcParticipant;
  operator: GrpcAdmin;
  /** What the server has refused, in its words. */
  refusals: string[];
  /** What it says was a fault of its own, and in which call. */
  faults: [unknown, string][];
  witness: Witness;
  plans: Planned[];
}

/** Behind these servers nobody is ever welcomed, so everybody stays a guest. */
export const NO_LOGIN = { guestCallBytes: 2 ** 30, guestAddressBytes: 2 ** 30, guestBytes: 2 ** 30 };

/** Registers the hooks of the enclosing describe; the fields are there inside its tests. */
export function eachLink(
  options: { limits?: Partial<GrpcLimits>; channel?: Partial<ChannelOptions>; latencyMs?: number } = {},
): Link {
  const link = {} as Link;
  beforeEach(async () => {
    link.participant = new FakeParticipant();
    link.admin = new FakeAdmin();
    link.refusals = [];
    link.faults = [];
    link.plans = [];
    link.witness = { ...unwitnessed, planned: (plan) => void link.plans.push(plan) };
    const { participant, admin } = link;
    const { limits, channel, latencyMs } = options;
    link.server = await serveGrpc({
      ...{ participant, admin, adminToken: ADMIN_TOKEN, listen: '127.0.0.1:0' },
      limits: { ...NO_LOGIN, ...limits },
      onRefusal: (_, reason) => void link.refusals.push(reason),
      onFault: (...fault) => void link.faults.push(fault),
      witness: link.witness,
    });
    link.proxy = await DelayProxy.start({ targetPort: link.server.port, latencyMs });
    link.client = connectGrpc(latencyMs === undefined ? link.server.address : link.proxy.address, channel);
    link.operator = connectAdmin(link.server.address, ADMIN_TOKEN);
  });
  afterEach(async () => {
    link.client.close();
    link.operator.close();
    await link.proxy.close();
    await link.server.close();
  });
  return link;
}

export function bytes(length: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = i * 31 + (i >> 8);
  return out;
}

export function updateOf(sizeBytes: number): SignedUpdateHeader {
  const metrics = { loss: { sum: [1.25], count: 12 } };
  return { header: { ...UPDATE, sizeBytes, weights: [12, 0.5], metrics }, signature: SIGNATURE };
}

export async function* chunksOf(values: Uint8Array, size = 256 * 1024) {
  for (let at = 0; at < values.length; at += size) yield values.subarray(at, at + size);
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

/** For assert.rejects: an FlError with this code. */
export function hasCode(code: string, message?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FlError, `expected an FlError, got ${error}`);
    assert.equal(error.code, code, error.message);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  };
}

/** A promise and the function that fulfils it. */
export function signal<T = void>(): { readonly promise: Promise<T>; readonly fire: (value: T) => void } {
  let fire: (value: T) => void = () => {};
  const promise = new Promise<T>((resolve) => {
    fire = resolve;
  });
  return { promise, fire };
}

/** Lets other work go on until `condition` holds; Mocha's timeout is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
