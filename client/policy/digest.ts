/**
 * What a coordinator is told of a site's policy: that it is still the same, or another. It is a hash of this client's own
 * signature over it, so that nobody finds out what a policy says by trying what it might say.
 */
import { type Identity, sha256Hex, signedBytes } from '../../shared/signing/identity.js';
import type { Policy } from './table.js';

/** All that decides which plans a site follows, as far as its user sets it. */
interface Allowed {
  readonly policy: Policy;
  /** Of the ledger that the policy names. */
  readonly ledgerModels: readonly string[];
  /** By name, which code each workload of a file is: one that was declined for its code is asked again with another. */
  readonly workloads: Readonly<Record<string, string>>;
  /** Of this program: a newer one may know a workload that an older one did not. */
  readonly version: string;
}

/** 64 hex digits: the same for the same rules of the same client, and others when anything of them has changed. */
export function policyDigest(identity: Identity, { policy, ledgerModels, workloads, version }: Allowed): string {
  const said = { policy, ledgerModels, workloads, version };
  return sha256Hex(identity.sign(signedBytes('site-policy', said)));
}
