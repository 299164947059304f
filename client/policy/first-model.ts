/**
 * Where the model of a run's first round may come from. A crafted one makes a sum say more than a sum should; the start of
 * a workload follows from its seed, so a client makes it again and compares hashes. Later models are the coordinator's
 * word, which its ledger binds it to.
 */
import { linesOf } from '../../shared/chain/chain.js';
import { parseLine } from '../../shared/ledger/entry.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { packTensors } from '../../shared/tensors/params.js';
import { initialModel } from '../training/task.js';
import type { Workload } from '../workload.js';
import type { Asked, Policy } from './table.js';

/** Hashes of models by the word of the policy that allows them. */
export interface KnownModels {
  /** Made when it is asked for. */
  workload(): string;
  readonly ledger: readonly string[];
}

/** What `first-model` says of a plan; undefined when it has nothing to say: the key is absent, or the round is a later one. */
export function askFirstModel(
  { 'first-model': given }: Policy,
  { kind, round, modelSha256, work: { initialModel } }: RoundPlan,
  known: KnownModels,
): Asked | undefined {
  if (kind !== 'train' || round !== 1) return undefined;
  if (initialModel !== undefined && initialModel !== modelSha256) {
    const next = 'tell its operator: the model that came is not the one that the run says it starts from';
    return { ok: false, expected: `${initialModel}, as the run's own initialModel says`, got: modelSha256, next };
  }
  if (given === undefined) return undefined;
  const expected: string[] = [];
  for (const word of [given].flat()) {
    const hashes = word === 'workload' ? [known.workload()] : word === 'ledger' ? known.ledger : [word];
    if (hashes.includes(modelSha256)) return { ok: true, expected: word, got: modelSha256, next: '' };
    expected.push(word === 'workload' ? `the workload's own start (${hashes[0]})` : word);
  }
  const how = initialModel === undefined ? 'start the run from that model, or' : 'if this site agrees with that start,';
  const next = `${how} add the hash that came to this key in the site's policy`;
  return { ok: false, expected: expected.join(' or '), got: modelSha256, next };
}

/** SHA-256 of the model that a workload makes from these settings and this seed. @throws FlError as its `init` */
export function startOf(workload: Workload, work: Pick<RoundPlan['work'], 'hyper' | 'seed'>): string {
  return sha256Of(packTensors(initialModel(workload, work).shared));
}

/** Hashes of the models in a ledger's lines: the one it began with, and that of each round. @throws FlError corrupt */
export function modelsOf(ledger: Uint8Array): string[] {
  return linesOf(ledger).flatMap((line) => {
    const { entry } = parseLine(line);
    return entry.kind === 'opened' ? [entry.modelSha256] : [entry.modelAfter];
  });
}
