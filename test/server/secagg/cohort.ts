/** Real clients of secure aggregation around a coordinator's side of it: in memory, over a clock that stands still. */
import { type PlainContribution, SecaggTask } from '../../../client/round/secagg-task.js';
import { noOpenings } from '../../../client/store/openings.js';
import { memorySecaggStore } from '../../../client/store/secagg.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { RoundPlan, TaskKind } from '../../../shared/run/plan.js';
import type { SecureSpec, WorkSpec } from '../../../shared/run/spec.js';
import { parseFrame } from '../../../shared/secagg/frames.js';
import { keyOf, SECURE, seedOf } from '../../secure/hostile-coordinator.js';
import { ANY } from '../../secure/sites.js';
import { turns } from '../../support/hand-fed.js';
import { toySpec } from '../../support/toy.js';

export function planFor(
  names: readonly string[],
  {
    kind = 'train',
    attempt = 1,
    secure = {},
    work = {},
  }: {
    readonly kind?: TaskKind;
    readonly attempt?: number;
    readonly secure?: Partial<SecureSpec>;
    readonly work?: Partial<WorkSpec>;
  } = {},
): RoundPlan {
  const enrolled = Object.fromEntries(names.map((name) => [name, keyOf(name)]));
  return {
    ...{ run: 'r', kind, round: 1, attempt, modelSha256: '0'.repeat(64), modelSizeBytes: 8, deadlineMs: 1000 },
    cohort: names.length,
    work: { ...toySpec().work, secure: { ...SECURE, ...secure }, ...work },
    secure: { nonce: `${attempt}`.repeat(32), enrolled },
  };
}

/** Clients by name, each of which gives what `contribute` says; `says` are frames to and from them, by type. */
export class SecureCohort {
  readonly says: string[] = [];
  readonly #tasks = new Map<string, SecaggTask>();
  readonly #receive: (client: string, frame: Uint8Array) => void;

  /** @param receive where their frames go */
  constructor(receive: (client: string, frame: Uint8Array) => void) {
    this.#receive = receive;
  }

  enter(client: string, plan: RoundPlan, contribute: () => Promise<PlainContribution>): void {
    const task = SecaggTask.start({
      ...{ plan, client, contribute, policy: ANY, openings: noOpenings, store: memorySecaggStore() },
      ...{ signingSeed: seedOf(client), rng: rngFromSeed(5).split(`${client}/${plan.kind}/${plan.attempt}`) },
      send: (frame) => {
        this.says.push(`${client} ${parseFrame(frame).type}`);
        this.#receive(client, frame);
      },
      ended: () => undefined,
      failed: (error) => this.says.push(`${client} failed: ${error.message}`),
    });
    this.#tasks.set(client, task);
  }

  /** A frame to a client, which hears it if it has entered. */
  deliver(client: string, frame: Uint8Array): void {
    this.says.push(`to ${client} ${parseFrame(frame).type}`);
    this.#tasks.get(client)?.receive(frame);
  }
}

/** Several turns: each frame may be answered in a later one. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await turns();
}
