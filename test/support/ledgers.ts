/**
 * Run directories of a toy federation with a ledger in them, and a coordinator that lies: it has the keys and signs
 * whatever a test wants it to have said.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lineSha256, signLine } from '../../shared/chain/chain.js';
import { fromHex, toHex } from '../../shared/hex.js';
import type { LedgerEntry, LedgerLine, RoundEntry, SecureProof, SignedProof } from '../../shared/ledger/entry.js';
import { signProof } from '../../shared/ledger/secure.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { bitmapOf, compareBytes } from '../../shared/secagg/codec.js';
import { consistencyBody, memberTag, survivorRootOf } from '../../shared/secagg/derive.js';
import { nodeSuite } from '../../shared/secagg/index.js';
import { type Identity, identityFromSeed } from '../../shared/signing/identity.js';
import { simulate } from '../../simulations/simulate.js';
import { toyModel, toySpec, toyTrainer, toyWorkload } from './toy.js';

export function ledgerSpec(secure: boolean, engine: Parameters<typeof toySpec>[0] = {}): RunSpec {
  const spec = toySpec({ rounds: 2, evaluateEvery: 0, evaluateClients: 3, ...engine });
  if (!secure) return spec;
  const bounds = { valueRange: 8, weightCap: 10, adversaryFraction: 0, dropFraction: 0.2, survivorsMin: 2 };
  const work = { ...spec.work, secure: { ...bounds, phaseDeadlineMs: 60_000, trainMetrics: [], testMetrics: [] } };
  return { work, engine: spec.engine };
}

/** A finished run of c1, c2 ... in a directory of its own. */
export async function toyRun(spec: RunSpec, clients = 4): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'starling-ledger-'));
  await simulate({
    spec,
    clients,
    directory,
    model: toyModel(),
    workload: toyWorkload,
    trainer: toyTrainer(),
    backend: 'none',
    workers: 1,
    transport: 'memory',
    dropout: 0,
    baselines: 'none',
  });
  return directory;
}

/** The coordinator of a simulation with seed 1, and its clients. */
export function simulated(who: 'coordinator' | `identity/${string}`): Identity {
  return identityFromSeed(rngFromSeed(1).split('simulation').split(who).bytes(32));
}

export function entriesOf(text: string): LedgerEntry[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as LedgerLine).entry);
}

/** The ledger that these entries make, chained and signed anew; only what a test has changed is a lie. */
export function signedLedger(entries: readonly LedgerEntry[], identity = simulated('coordinator')): string {
  const lines: string[] = [];
  for (const entry of entries) {
    const previous = lines.length === 0 ? entry.previous : lineSha256(lines[lines.length - 1]);
    lines.push(signLine('ledger', { ...entry, previous }, identity));
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** A round whose proof the coordinator has changed, and signed again. */
export function withProof(entry: RoundEntry, change: Partial<SecureProof>): RoundEntry {
  const [{ coordinatorSignature: _, ...proof }] = entry.secure;
  return { ...entry, secure: [signProof({ ...proof, ...change }, simulated('coordinator'))] };
}

/** A proof for which every key involved is in the liar's hands: all of it is consistent, and signed. */
export function forged(given: SignedProof, identities: ReadonlyMap<string, Identity>): SignedProof {
  const roster = [...identities]
    .map(([client, { publicKey }]) => ({ client, key: toHex(publicKey), tag: memberTag(nodeSuite, client, publicKey) }))
    .sort((a, b) => compareBytes(a.tag, b.tag));
  const all = bitmapOf(roster.keys(), roster.length);
  const transcript = { aggregationId: fromHex(given.aggregationId), rosterRoot: fromHex(given.rosterRoot) };
  const root = survivorRootOf(nodeSuite, transcript, { included: all, survivors: all });
  const message = consistencyBody(transcript, root);
  const { coordinatorSignature: _, ...proof } = given;
  return signProof(
    {
      ...proof,
      roster: roster.map(({ client, key }) => ({ client, key })),
      included: toHex(all),
      survivors: [...identities.keys()].sort(),
      survivorRoot: toHex(root),
      signatures: roster.map(({ client }) => ({ client, signature: toHex(identities.get(client)!.sign(message)) })),
    },
    simulated('coordinator'),
  );
}
