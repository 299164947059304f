/** What an operator may ask of a coordinator: each call of the command line, in a word or two of what is there. */
import { join } from 'node:path';
import type { Clock } from '../shared/clock.js';
import { invalidArgument } from '../shared/errors.js';
import { fromHex } from '../shared/hex.js';
import { encodeJoinToken, MAX_OTHERS } from '../shared/join-token.js';
import type { Rng } from '../shared/rng.js';
import type { RunSpec } from '../shared/run/spec.js';
import type { AdminService, RunInfo } from '../shared/service.js';
import { type Identity, sha256Hex } from '../shared/signing/identity.js';
import type { Accounts } from './accounts.js';
import { newSecret, peopleOf } from './people.js';
import type { Seen } from './presence.js';
import { elsewhere } from './reach.js';
import type { Registry } from './registry.js';
import { readReport, reportOf } from './report/run-report.js';
import { readRun, runIdFor } from './run/directory.js';
import { readAllEvents } from './run/past-events.js';
import type { Run } from './run/run.js';
import type { Runs } from './runs.js';
import type { Upkeep } from './upkeep.js';

/** The coordinator, as far as an operator can reach. */
interface AdminDeps {
  readonly dataDir: string;
  readonly identity: Identity;
  readonly registry: Registry;
  readonly clock: Clock;
  /** For tokens and run ids. */
  readonly rng: Rng;
  /** What a join token says about where to go. */
  addresses(): readonly string[];
  /** Whose authority a join token pins; absent: the address is called in plaintext. */
  readonly issuer?: { readonly authorityFingerprint: string; issueOperator?(name: string): Promise<string> };
  /** Of operators; absent: there is nobody but `admin`. */
  readonly accounts?: Accounts;
  readonly runs: Pick<Runs, 'rows' | 'get' | 'missing' | 'resume'>;
  upkeep(): Upkeep;
  isHere(client: string): boolean;
  /** When it was here last, and what went wrong last. */
  seen(client: string): Seen;
  createRun(spec: RunSpec, model: Uint8Array, where: { id: string; directory: string }): Promise<Run>;
  /** Ends what a client does here, unless it is approved. */
  shutOut(client: string): void;
}

/** The calls, on this coordinator. */
export function adminOf(deps: AdminDeps): AdminService {
  const { registry, rng, clock, runs } = deps;
  const rowOf = (id: string): RunInfo => {
    const row = runs.rows().find(({ run }) => run === id);
    if (row === undefined) throw deps.upkeep().whyNot(id) ?? runs.missing(id);
    return row;
  };
  const tokenOf = tokenMaker(deps);
  const checkUsable = (id: string): void => {
    const why = deps.upkeep().whyNot(id);
    if (why !== undefined) throw why;
  };
  return {
    ...peopleOf({ ...deps, tokenOf }),
    async createToken(request) {
      const secret = newSecret(rng);
      await registry.createToken(request, { secret, nowMs: clock.nowMs() });
      return tokenOf(secret);
    },
    async listClients() {
      return registry.list().map(({ client: name, enrolledAtMs, publicKey, handOvers = [] }) => {
        const { standing, reason: standingReason } = registry.standingOf(name);
        const why = standingReason !== '' && { standingReason };
        const formerKeys = handOvers.map(({ from }) => fromHex(from)).reverse();
        const key = { publicKey, ...(formerKeys.length > 0 && { formerKeys }) };
        return { name, enrolledAtMs, ...key, online: deps.isHere(name), standing, ...why, ...deps.seen(name) };
      });
    },
    async startRun(spec, model) {
      checkClients(spec, registry);
      const id = runIdFor(spec, clock.nowMs(), rng);
      await deps.createRun(spec, model, { id, directory: join(deps.dataDir, 'runs', id) });
      return id;
    },
    async stopRun(id, reason) {
      checkUsable(id);
      rowOf(id);
      const run = runs.get(id);
      run?.post({ kind: 'stop', status: 'stopped', reason });
      await run?.idle();
    },
    async resumeRun(id) {
      checkUsable(id);
      await runs.resume(id);
    },
    archiveRun: (id) => deps.upkeep().archive(id),
    deleteRun: (id) => deps.upkeep().delete(id),
    repairRun: (id) => deps.upkeep().repair(id),
    async listRuns({ archived = false } = {}) {
      if (archived) return deps.upkeep().list();
      return runs.rows().toSorted((a, b) => a.createdAtMs - b.createdAtMs || (a.run < b.run ? -1 : 1));
    },
    async getRun(id) {
      const archived = await deps.upkeep().get(id);
      if (archived !== undefined) return archived;
      const info = rowOf(id);
      if (info.status === 'damaged') return { info, report: 'null' };
      const run = runs.get(id);
      const report = run === undefined ? reportOf(await readRun(info.directory)) : await readReport(run);
      return { info, report: JSON.stringify(report, null, 2) };
    },
    async *watchRun(id, signal) {
      checkUsable(id);
      const { directory } = rowOf(id);
      const events = runs.get(id)?.feed.watch(signal) ?? readAllEvents(directory);
      for await (const event of events) {
        yield JSON.stringify(event);
        if (signal?.aborted) return;
      }
    },
  };
}

/** A name that nobody has is a mistake: the run would wait for ever. @throws FlError invalid-argument */
function checkClients({ engine: { clients = [] } }: RunSpec, registry: Registry): void {
  const enrolled = new Set(registry.list().map(({ client }) => client));
  const unknown = clients.find((name) => !enrolled.has(name));
  if (unknown !== undefined) throw invalidArgument('clients', 'clients that are enrolled', unknown);
}

/** The join token of a secret. */
function tokenMaker({ identity, issuer, ...deps }: AdminDeps): (secret: string) => string {
  const fingerprint = sha256Hex(identity.publicKey);
  return (secret) => {
    const [address, ...others] = elsewhere(deps.addresses());
    if (issuer === undefined) return encodeJoinToken({ address, fingerprint, secret });
    const authority = issuer.authorityFingerprint;
    return encodeJoinToken({ address, fingerprint, secret, authority, others: others.slice(0, MAX_OTHERS) });
  };
}
