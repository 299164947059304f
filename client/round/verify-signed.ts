/**
 * Reads what comes from the coordinator, as it came: a plan that is signed and well-formed, a model that is the plan's.
 * Virtual clients of one process share a reader, since a cohort gets one and the same plan and model: checked once.
 */

import { FlError } from '../../shared/errors.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { checkPlan } from '../../shared/run/plan.js';
import { signedBytes, verifySignature } from '../../shared/signing/identity.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import type { Layout } from '../../shared/tensors/params.js';
import { decode } from '../../shared/tensors/safetensors.js';

/** @throws FlError permission-denied: not signed by the coordinator; invalid-argument: no plan */
export type PlanReader = (body: Uint8Array, signature: Uint8Array) => RoundPlan;

/** Believes this key alone. The plan that was read last is not checked again. */
export function planReader(coordinatorKey: Uint8Array): PlanReader {
  let last: { body: Uint8Array; signature: Uint8Array; plan: RoundPlan } | undefined;
  return (body, signature) => {
    if (last !== undefined && equal(last.body, body) && equal(last.signature, signature)) return last.plan;
    let plan: unknown;
    try {
      plan = JSON.parse(new TextDecoder().decode(body));
    } catch (cause) {
      throw new FlError('invalid-argument', 'plan: not JSON', { cause });
    }
    if (!verifySignature(coordinatorKey, signedBytes('plan', plan), signature)) {
      throw new FlError('permission-denied', 'plan: not signed by the coordinator');
    }
    checkPlan(plan);
    last = { body, signature, plan };
    return plan;
  };
}

/** Remembers the model that was read last. */
export interface ModelReader {
  /** A file of this model that was read before; nobody may change it. */
  known(sha256: string): Uint8Array | undefined;
  /**
   * The values of a model's file, which nobody may change.
   * @throws FlError corrupt: no model of this layout, or not the one of this hash
   */
  read(file: Uint8Array, expect: { readonly layout: Layout; readonly sha256: string }): Float32Array;
}

/** A reader that knows no model yet. */
export function modelReader(): ModelReader {
  let last: { file: Uint8Array; sha256: string; values: Float32Array } | undefined;
  return {
    known: (sha256) => (last?.sha256 === sha256 ? last.file : undefined),
    read(file, { layout, sha256 }) {
      if (last?.sha256 === sha256 && (last.file === file || equal(last.file, file))) return last.values;
      const { params } = decode(file, { expect: layout });
      const got = sha256Of(params);
      if (got !== sha256) throw new FlError('corrupt', `model: expected sha256 ${sha256}, got ${got}`);
      last = { file, sha256, values: params.values };
      return params.values;
    },
  };
}

/** Byte for byte. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
