/**
 * An operator who uploads a crafted model asks, of each example of a lab: are you like this? The loss of those that are
 * overflows. Whatever leaves the lab must be the same whichever example it is, and as a rule whether there is one at all:
 * all frames of real clients over gRPC are compared, numbers that are masked or noised apart.
 */
import assert from 'node:assert/strict';
import { selectBackend } from '../../client/backends/index.js';
import { FAILED } from '../../client/round/work.js';
import { memoryReleases } from '../../client/store/releases.js';
import { createTaskRunner, type TaskRunner } from '../../client/training/task.js';
import { FlError } from '../../shared/errors.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { TaskKind } from '../../shared/run/plan.js';
import type { PrivacySpec, WorkSpec } from '../../shared/run/spec.js';
import { decodeRefusal, parseFrame } from '../../shared/secagg/frames.js';
import type { ClientFrame } from '../../shared/service.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import type { Params } from '../../shared/tensors/params.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { toySpec } from '../support/toy.js';
import { HostileCoordinator, SECURE } from './hostile-coordinator.js';
import { CRAFTED, EXAMPLES, modelOf, NOBODY, probed, TENSORS } from './probe.js';
import { atOnce, enter } from './sites.js';

const privacy = (mode: PrivacySpec['mode'], more: Partial<PrivacySpec> = {}): Pick<WorkSpec, 'privacy'> => ({
  privacy: { mode, clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, ...more },
});
const cohortMax = { cohortMax: 3 };
const secure = { secure: SECURE };

const MODES: Readonly<Record<string, Pick<WorkSpec, 'secure' | 'privacy'>>> = {
  secure,
  distributed: { ...secure, ...privacy('distributed', cohortMax) },
  'example, secure': { ...secure, ...privacy('example', { samplingRate: 0.5 }) },
  example: privacy('example', { samplingRate: 0.5 }),
  central: privacy('central', cohortMax),
  local: privacy('local', cohortMax),
};

function workOf(mode: string): WorkSpec {
  const { work } = toySpec();
  const { localSteps: _, ...training } = work.training;
  const phases = [{ name: 'train', channels: [updateChannel(TENSORS)] }];
  return { ...work, training: { ...training, localEpochs: 1 }, phases, model: TENSORS, ...MODES[mode] };
}

interface Attack {
  readonly mode: string;
  readonly kind: TaskKind;
  /** Which example of c1 is as the model asks. */
  readonly match: number;
  readonly model?: Params;
  /** Breaks c1 in another way. */
  readonly trainer?: (own: TaskRunner) => TaskRunner;
}

interface Outcome {
  /** Of each client, all that it sent. */
  readonly said: Readonly<Record<string, readonly string[]>>;
  /** What c1's own log says. */
  readonly own: string;
}

/** The attack from the plan to the answers of all. */
async function attack({ mode, kind, match, model = CRAFTED, trainer = (own) => own }: Attack): Promise<Outcome> {
  const hostile = await HostileCoordinator.open();
  const names = ['c1', 'c2', 'c3'];
  const sites = [];
  try {
    for (const name of names) {
      const runner = createTaskRunner({ loadWorkload: async () => probed(name === 'c1' ? match : NOBODY) });
      let nowMs = 0; // a second for each step, so that each is told
      const clock = { ...atOnce, nowMs: () => (nowMs += 1000) };
      const noise = { noiseOf: () => rngFromSeed(1), releases: memoryReleases() };
      const site = { trainer: name === 'c1' ? trainer(runner) : runner, clock, privacy: noise };
      sites.push(await enter(hostile, name, site));
    }
    const file = encode(model);
    const plan = hostile.planFor(names, {
      ...{ kind, work: workOf(mode), modelSha256: sha256Of(model), modelSizeBytes: file.length },
      ...(MODES[mode]?.secure === undefined && { secure: undefined }),
    });
    const aggregation = plan.secure && hostile.begin(plan);
    for (const name of names) hostile.sendPlan(name, plan, { model: file });
    const answered = (name: string) => hostile.plain.some(({ client, frame }) => client === name && isAnswer(frame));
    await hostile.when(() => (aggregation ? hostile.isOver(aggregation) : names.every(answered)));
    return { said: saidBy(hostile, names), own: JSON.stringify(sites[0].notices) };
  } finally {
    for (const site of sites) site.kill();
    await hostile.close();
  }
}

function isAnswer({ kind }: ClientFrame): boolean {
  return kind === 'decline' || kind === 'evaluation' || kind === 'small-update';
}

function saidBy({ said }: HostileCoordinator, names: readonly string[]): Outcome['said'] {
  const of = (name: string) => said.filter(({ client }) => client === name).map(({ frame }) => wordsOf(frame));
  return Object.fromEntries(names.map((name) => [name, of(name)]));
}

/** A frame of secure aggregation is its type and its length, and a refusal its reason too. */
function wordsOf(frame: ClientFrame): string {
  if (frame.kind !== 'secure') return JSON.stringify(frame, comparable);
  const { type, body } = parseFrame(frame.frame);
  return `${type} ${frame.frame.length} ${type === 'refusal' ? decodeRefusal(body).reason : ''}`;
}

/** Ciphertext, noised numbers and signatures by their length; a hash of such numbers not at all. */
function comparable(key: string, value: unknown): unknown {
  if (value instanceof Uint8Array || (value as { type?: string })?.type === 'Buffer') {
    return `${(value as Uint8Array & { data?: unknown[] }).length ?? (value as { data: unknown[] }).data.length} bytes`;
  }
  return key === 'sha256' ? 'a hash' : value;
}

describe('a crafted model', () => {
  before(() => selectBackend('cpu'));

  for (const mode of Object.keys(MODES)) {
    for (const kind of ['train', 'evaluate'] as const) {
      it(`learns from no frame which example is as it asks: ${mode}, ${kind}`, async () => {
        const first = await attack({ mode, kind, match: 0 });
        for (const match of [1, 4, EXAMPLES - 1]) {
          assert.deepEqual((await attack({ mode, kind, match })).said, first.said, `example ${match}, not 0`);
        }
        // Test figures that are not masked are exact: they tell that there is one (docs/privacy.md).
        if (kind === 'evaluate' && MODES[mode].secure === undefined) return;
        assert.deepEqual((await attack({ mode, kind, match: NOBODY })).said, first.said, 'none at all');
      });
    }
  }
});

describe('a failure', () => {
  before(() => selectBackend('cpu'));

  const broken = (error: Error) => ({ trainer: () => ({ run: () => Promise.reject(error) }), model: modelOf(1) });
  const causes: Readonly<Record<string, Partial<Attack>>> = {
    'no images of 41 patients': broken(new FlError('data-missing', 'no images of 41 patients')),
    'index 7 is out of range': broken(new TypeError('index 7 is out of range')),
    'got NaN': { model: modelOf(Number.NaN) },
    'got 2000000': { model: modelOf(2e6) },
  };

  for (const mode of Object.keys(MODES)) {
    for (const kind of ['train', 'evaluate'] as const) {
      it(`is one word outwards, whatever its cause, and the cause is in the log of the site: ${mode}, ${kind}`, async () => {
        const said = new Set<string>();
        for (const [cause, how] of Object.entries(causes)) {
          const outcome = await attack({ mode, kind, match: NOBODY, ...how });
          assert.ok(outcome.own.includes(cause), outcome.own);
          said.add(outcome.said.c1.join('\n'));
        }
        assert.equal(said.size, 1);
        const [declined] = [...said][0].split('\n').filter((frame) => frame.includes('"decline"'));
        const end = `"reason":"failed","detail":${JSON.stringify(FAILED)},"signature":"64 bytes"}`;
        assert.ok(declined.endsWith(end), declined);
      });
    }
  }

  it('is told in words where nothing is protected', async () => {
    const { said } = await attack({ mode: 'plain', kind: 'train', match: 4 });
    assert.match(said.c1.join(), /loss is not finite in round 1: lower client-lr/);
  });
});
