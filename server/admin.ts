/** What an operator may ask of a coordinator: each call of the command line, in a word or two of what is there. */
import { join } from 'node:path';
import type { Clock } from '../shared/clock.js';
import type { FlError } from '../shared/errors.js';
import { encodeJoinToken } from '../shared/join-token.js';
import type { Rng } from '../shared/rng.js';
import type { RunSpec } from '../shared/run/spec.js';
import type { AdminService, RunInfo } from '../shared/service.js';
import { type Identity, sha256Hex } from '../shared/signing/identity.js';
import type { Registry } from './registry.js';
import { readReport, reportOf } from './report/run-report.js';
import { readRun, runIdFor } from './run/directory.js';
import { readAllEvents } from './run/past-events.js';
import type { Run } from './run/run.js';

/** The coordinator, as far as an operator can reach. */
interface AdminDeps {
  readonly dataDir: string;
  readonly identity: Identity;
  readonly registry: Registry;
  readonly clock: Clock;
  /** For tokens and run ids. */
  readonly rng: Rng;
  /** What a join token says about where to go. */
  address(): string;
  /** All runs: at work, ended, damaged. */
  rows(): readonly RunInfo[];
  /** Undefined: it has ended, is damaged, or is not known. */
  atWork(id: string): Run | undefined;
  /** Why it is not at work: not-found · failed-precondition: it is damaged */
  missing(id: string): FlError;
  /** @throws FlError as `missing` · failed-precondition: it is completed */
  resume(id: string): Promise<void>;
  isHere(client: string): boolean;
  createRun(spec: RunSpec, model: Uint8Array, where: { id: string; directory: string }): Promise<Run>;
}

/** The calls, on this coordinator. */
export function adminOf(deps: AdminDeps): AdminService {
  const { registry, rng, clock, identity, atWork } = deps;
  const rowOf = (id: string): RunInfo => {
    const row = deps.rows().find(({ run }) => run === id);
    if (row === undefined) throw deps.missing(id);
    return row;
  };
  return {
    async createToken(request) {
      const secret = Buffer.from(rng.bytes(32)).toString('base64url');
      await registry.createToken(request, { secret, nowMs: clock.nowMs() });
      const fingerprint = sha256Hex(identity.publicKey);
      return encodeJoinToken({ address: deps.address(), fingerprint, secret });
    },
    async listClients() {
      return registry.list().map(({ client: name, enrolledAtMs, publicKey }) => {
        return { name, enrolledAtMs, publicKey, online: deps.isHere(name) };
      });
    },
    async startRun(spec, model) {
      const id = runIdFor(spec, clock.nowMs(), rng);
      await deps.createRun(spec, model, { id, directory: join(deps.dataDir, 'runs', id) });
      return id;
    },
    async stopRun(id, reason) {
      const run = atWork(id);
      if (rowOf(id).status === 'damaged') throw deps.missing(id);
      run?.post({ kind: 'stop', status: 'stopped', reason });
      await run?.idle();
    },
    resumeRun: (id) => deps.resume(id),
    async listRuns() {
      return deps.rows().toSorted((a, b) => a.createdAtMs - b.createdAtMs || (a.run < b.run ? -1 : 1));
    },
    async getRun(id) {
      const info = rowOf(id);
      if (info.status === 'damaged') return { info, report: 'null' };
      const run = atWork(id);
      const report = run === undefined ? reportOf(await readRun(info.directory)) : await readReport(run);
      return { info, report: JSON.stringify(report, null, 2) };
    },
    async *watchRun(id, signal) {
      const { directory, status } = rowOf(id);
      if (status === 'damaged') throw deps.missing(id);
      const events = atWork(id)?.feed.watch(signal) ?? readAllEvents(directory);
      for await (const event of events) {
        yield JSON.stringify(event);
        if (signal?.aborted) return;
      }
    },
  };
}
