/** Secure aggregation in groups: who is with whom, what a poisoned update can still do, and what is refused. */
import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { declineReasonOf } from '../../../client/round/policy.js';
import { SecaggTask } from '../../../client/round/secagg-task.js';
import { memoryOpenings } from '../../../client/store/openings.js';
import { memorySecaggStore } from '../../../client/store/secagg.js';
import type { EvaluateResult, Task, TaskOptions, TaskRunner, TrainResult } from '../../../client/training/task.js';
import type { Workload } from '../../../client/workload.js';
import { checkRun } from '../../../server/run/check.js';
import { GroupedAggregation } from '../../../server/secagg/grouped.js';
import { parseAggregator } from '../../../server/updates/aggregator.js';
import type { FlError } from '../../../shared/errors.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import { groupPlansOf, leastSumOf, planOfMember } from '../../../shared/run/secagg-groups.js';
import { secaggSetupOf } from '../../../shared/run/secagg-params.js';
import type { RunSpec, SecureSpec } from '../../../shared/run/spec.js';
import {
  createEnrolment,
  createKernel,
  nodeSuite,
  type ServerContext,
  startClient,
  startServer,
  stepServer,
} from '../../../shared/secagg/index.js';
import { checkConfig, resolve } from '../../../simulations/config/resolve.js';
import { simulate } from '../../../simulations/simulate.js';
import { FakeClock } from '../../support/fake-clock.js';
import { turns } from '../../support/hand-fed.js';
import { quantizationStep } from '../../support/quantization.js';
import { toyModel, toySpec, toyTrainer, toyWorkload } from '../../support/toy.js';

const SECURE: SecureSpec = {
  valueRange: 64,
  weightCap: 1,
  adversaryFraction: 0,
  dropFraction: 0,
  survivorsMin: 2,
  phaseDeadlineMs: 60_000,
  trainMetrics: [{ name: 'loss', size: 1, max: 16 }],
  testMetrics: [{ name: 'loss', size: 1, max: 4096 }],
  groupSize: 3,
};

function specOf(cohort: number, engine: Parameters<typeof toySpec>[0], secure: SecureSpec | null = SECURE): RunSpec {
  const spec = toySpec({ rounds: 1, cohort, minClients: cohort, minSurvivors: 3, maxAttempts: 1, ...engine });
  const work = secure === null ? spec.work : { ...spec.work, secure };
  return { work, engine: spec.engine };
}

const isTraining = (result: TrainResult | EvaluateResult): result is TrainResult => result.kind === 'train';

/** Every client's update is 1 in every element, but c1's is 60: inside the range, so nobody can tell. */
const poisoned: TaskRunner = {
  run: (async (task: Task, options?: TaskOptions) => {
    const result = (await toyTrainer().run(task as never, options)) as TrainResult | EvaluateResult;
    if (!isTraining(result)) return result;
    const values = result.contribution.values.map(() => (task.client === 'c1' ? 60 : 1));
    return { ...result, contribution: { ...result.contribution, values } };
  }) as TaskRunner['run'],
};

async function run(spec: RunSpec, trainer: TaskRunner = poisoned, workload: Workload = toyWorkload) {
  const directory = await mkdtemp(join(tmpdir(), 'starling-groups-'));
  let model = Number.NaN;
  const keepModel = ((task: Task, options?: TaskOptions) => {
    if (task.kind === 'evaluate') model = task.model[0];
    return trainer.run(task as never, options);
  }) as TaskRunner['run'];
  const { report } = await simulate({
    spec,
    model: toyModel(),
    clients: spec.engine.cohort,
    workload,
    trainer: { run: keepModel },
    backend: 'none',
    workers: 2,
    transport: 'memory',
    dropout: 0,
    baselines: 'none',
    directory,
  });
  return { report, model, directory };
}

/** The model, which was 0, is the mean update; rounding moves each client by less than a step of the grid. */
function assertNear(model: number, expected: number): void {
  const step = quantizationStep(SECURE, 3);
  assert.ok(Math.abs(model - expected) < step, `expected ${expected} +- ${step}, got ${model}`);
}

describe('a poisoned update among 9 clients', () => {
  it('pulls the mean of 3 groups away', async () => {
    // (8 x 1 + 60) / 9
    const { model } = await run(specOf(9, { aggregator: 'mean' }));
    assertNear(model, 68 / 9);
  });

  it('spoils one group of 3, which the median of group means leaves out', async () => {
    // group means: 1, 1 and (1 + 1 + 60) / 3
    const { model, report, directory } = await run(specOf(9, { aggregator: 'median' }));
    assertNear(model, 1);
    assert.equal(report.rounds[0].survivors, 9);
    assert.deepEqual(report.final.perClient, {});
    // The ledger has a receipt for each group, with the signatures of its 3 survivors.
    const check = await checkRun(directory);
    assert.ok(check.ok, JSON.stringify(check));
    assert.equal(check.survivorSignatures, 9);
    // Client ci says a loss of i/2 for each of its i examples, of which the weight cap lets one count: (1 + ... + 9) / 2 / 9.
    assert.ok(Math.abs(report.rounds[0].metrics['train.loss'] - (0.5 * 45) / 9) < 0.001);
  });

  it('is cut off by the trimmed mean of group means', async () => {
    assertNear((await run(specOf(9, { aggregator: 'trimmed-mean:0.34' }))).model, 1);
  });

  it('is cut off by the median of single updates, without secure aggregation', async () => {
    const { model } = await run(specOf(9, { aggregator: 'median' }, null));
    assert.equal(model, 1);
  });
});

describe('the metrics of single clients', () => {
  it('are not there under secure aggregation, and a workload that asks for them is told why', async () => {
    let seen: string[] = [];
    const curious: Workload = {
      ...toyWorkload,
      artefacts({ perClient }) {
        seen = Object.keys(perClient);
        return [];
      },
    };
    await assert.rejects(run(specOf(9, {}), poisoned, curious), { message: /no metrics of single clients: secure/ });
    assert.deepEqual(seen, []);
    await run(specOf(9, {}, null), poisoned, curious);
    assert.equal(seen.length, 9);
  });
});

describe('a group that fails', () => {
  // In a group of 3 the two others cannot return 2 shares for each of them: the group is lost.
  const c5Fails: TaskRunner = {
    run: (async (task: Task, options?: TaskOptions) => {
      if (task.kind === 'train' && task.client === 'c5') throw new Error('no data');
      return poisoned.run(task as never, options);
    }) as TaskRunner['run'],
  };

  it('takes its members with it, and the round goes on with the other groups', async () => {
    const { report, model } = await run(specOf(12, { aggregator: 'median' }), c5Fails);
    const [{ survivors, dropped }] = report.rounds;
    assert.equal(survivors, 9);
    const reasons = Object.fromEntries(dropped.map(({ client, reason }) => [client, reason]));
    assert.equal(reasons.c5, 'failed');
    assert.deepEqual(Object.values(reasons).sort(), ['failed', 'refused', 'refused']); // alone, the other two refuse
    assertNear(model, 1);
  });

  it('leaves too few for the median of 3, and the round is aborted', async () => {
    const { report } = await run(specOf(9, { aggregator: 'median' }), c5Fails);
    assert.equal(report.status, 'failed');
    assert.match(report.reason ?? '', /median over 2: at least 3 are needed/);
  });

  it('leaves too few survivors in all, and the round is aborted', async () => {
    const { report } = await run(specOf(9, { minSurvivors: 7 }), c5Fails);
    assert.equal(report.status, 'failed');
  });
});

describe('a cohort of groups', () => {
  it('drops the members of groups that fail one by one, and says that it failed once', async () => {
    const clock = new FakeClock();
    const dropped: string[] = [];
    const failures: string[] = [];
    const cohort = new GroupedAggregation(planOf(NAMES), {
      clock,
      rng: rngFromSeed(1),
      noise: rngFromSeed(1),
      deadlineMs: 1000,
      minSurvivors: 3,
      aggregator: parseAggregator('median'),
      listener: {
        send: () => assert.fail('nobody has said anything'),
        dropped: (client, reason) => dropped.push(`${client} ${reason}`),
        done: () => assert.fail('nobody has shared anything'),
        failed: (detail) => failures.push(detail),
      },
    });
    cohort.left('c12'); // nobody's
    clock.advance(SECURE.phaseDeadlineMs);
    await turns();
    const last = membersOf(planOf(NAMES))[2];
    const gone = NAMES.filter((name) => !last.includes(name)).map((name) => `${name} round-aborted`);
    assert.deepEqual(dropped.sort(), gone.sort());
    assert.deepEqual(failures, [Array(3).fill('secure aggregation: cohort-too-small').join('; ')]);
  });
});

// ---- who is with whom ----------------------------------------------------------------------------------------------

const seedOf = (name: string) => rngFromSeed(3).split(name).bytes(32);

function planOf(names: readonly string[], change: Partial<RoundPlan> = {}): RoundPlan {
  const keys = names.map((name) => [name, Buffer.from(nodeSuite.ed25519PublicKey(seedOf(name))).toString('hex')]);
  return {
    run: 'r',
    kind: 'train',
    round: 1,
    attempt: 1,
    modelSha256: '0'.repeat(64),
    modelSizeBytes: 8,
    deadlineMs: 1000,
    cohort: names.length,
    work: specOf(names.length, {}).work,
    secure: { nonce: '0'.repeat(32), enrolled: Object.fromEntries(keys) as Record<string, string> },
    ...change,
  };
}

const NAMES = Array.from({ length: 11 }, (_, i) => `c${i + 1}`);
const membersOf = (plan: RoundPlan) => groupPlansOf(plan).map(({ secure }) => Object.keys(secure!.enrolled).sort());

describe('the groups of a plan', () => {
  it('are as many as fill, and everybody is in one', () => {
    const groups = membersOf(planOf(NAMES)); // floor(11 / 3) groups
    assert.deepEqual(groups.map(({ length }) => length).sort(), [3, 4, 4]);
    assert.deepEqual(groups.flat().sort(), [...NAMES].sort());
    assert.equal(leastSumOf(planOf(NAMES)), 3);
  });

  it('follow from the cohort, the round and the attempt, and from nothing that the coordinator draws freely', () => {
    const groups = membersOf(planOf(NAMES));
    const { secure } = planOf(NAMES);
    assert.deepEqual(membersOf(planOf(NAMES, { secure: { ...secure!, nonce: 'f'.repeat(32) } })), groups);
    assert.deepEqual(membersOf(planOf(NAMES.toReversed(), { deadlineMs: 7 })), groups);
    assert.notDeepEqual(membersOf(planOf(NAMES, { round: 2 })), groups);
    assert.notDeepEqual(membersOf(planOf(NAMES, { attempt: 2 })), groups);
    assert.notDeepEqual(membersOf(planOf(NAMES, { run: 's' })), groups);
  });

  it('have aggregation ids of their own, also where they are of one size', () => {
    const hashes = groupPlansOf(planOf(NAMES)).map((plan) =>
      Buffer.from(secaggSetupOf(plan).aggregation.planHash).toString('hex'),
    );
    assert.equal(new Set(hashes).size, 3);
  });

  it('do not divide an evaluation, which no order statistic could help', () => {
    const plan = planOf(NAMES, { kind: 'evaluate' });
    assert.deepEqual(groupPlansOf(plan), [plan]);
    assert.equal(leastSumOf(plan), 11);
  });

  it('must have a place for a client that is to take part', () => {
    assert.throws(() => planOfMember(planOf(NAMES), 'c12'), { code: 'invalid-argument' });
    assert.throws(() => groupPlansOf(planOf(['c1', 'c2'])), { code: 'invalid-argument' });
    assert.equal(leastSumOf(planOf(['c1', 'c2'])), 2);
  });
});

describe('a client', () => {
  it('holds its floors against its group, not against the cohort', () => {
    assert.equal(declineReasonOf({ 'min-cohort': 3 }, planOf(NAMES)), undefined);
    assert.match(declineReasonOf({ 'min-cohort': 4 }, planOf(NAMES)) ?? '', /min-cohort: expected at least 4, got 3/);
  });

  interface Heard {
    readonly frames: Uint8Array[];
    readonly ended: (string | undefined)[];
    readonly failed: FlError[];
  }

  function enter(plan: RoundPlan, enrolled?: ReadonlyMap<string, Uint8Array>): { task: SecaggTask; heard: Heard } {
    const heard: Heard = { frames: [], ended: [], failed: [] };
    const task = SecaggTask.start({
      plan,
      client: 'c1',
      signingSeed: seedOf('c1'),
      store: memorySecaggStore(),
      rng: rngFromSeed(5),
      ...(enrolled && { enrolled }),
      openings: memoryOpenings(),
      policy: { cohortMin: 3, survivorsMin: 2, adversaryFraction: 0 },
      contribute: async () => ({ values: new Float32Array(6), weights: [1, 1], metrics: {} }),
      send: (frame) => heard.frames.push(frame),
      ended: (refusal) => heard.ended.push(refusal),
      failed: (error) => heard.failed.push(error),
    });
    return { task, heard };
  }

  /** A coordinator that puts c1 together with whom it likes, under the aggregation id of c1's group. */
  async function mixedWith(others: readonly string[]): Promise<Heard> {
    const plan = planOf(NAMES.slice(0, 9));
    const { params, aggregation } = secaggSetupOf(planOfMember(plan, 'c1'));
    const { task, heard } = enter(plan);
    await turns();
    const names = ['c1', ...others];
    const keys = new Map(names.map((name) => [name, nodeSuite.ed25519PublicKey(seedOf(name))]));
    const shared = { suite: nodeSuite, params, aggregation, enrolment: createEnrolment(nodeSuite, keys) };
    const server: ServerContext = { ...shared, sum: createKernel(), rng: rngFromSeed(1) };
    const theirs = others.map((id) => {
      const [, outputs] = startClient({
        ...shared,
        kernel: createKernel(),
        rng: rngFromSeed(2).split(id),
        isUsed: () => false,
        identity: { id, signingSeed: seedOf(id) },
        policy: { cohortMin: 3, survivorsMin: 2, adversaryFraction: 0 },
      });
      return outputs.flatMap((output) => (output.kind === 'send' ? [output.frame] : []))[0];
    });
    let state = startServer(server);
    [heard.frames[0], ...theirs].forEach((bytes, i) => {
      const [next, outputs] = stepServer(server, state, { kind: 'frame', from: names[i], bytes });
      state = next;
      for (const output of outputs) if (output.kind === 'send' && output.to === 'c1') task.receive(output.frame);
    });
    await turns();
    return heard;
  }

  it('refuses a roster of another group than its own', async () => {
    const plan = planOf(NAMES.slice(0, 9));
    const own = membersOf(plan).find((members) => members.includes('c1'))!;
    const friends = own.filter((name) => name !== 'c1');
    const strangers = NAMES.slice(0, 9).filter((name) => !own.includes(name));
    assert.deepEqual((await mixedWith(friends)).ended, []); // goes on
    assert.deepEqual((await mixedWith(strangers.slice(0, 2))).ended, ['unenrolled-member']);
    assert.deepEqual((await mixedWith([friends[0], strangers[0]])).ended, ['unenrolled-member']);
  });

  it('with an enrolment list of its own refuses a cohort with a name that is not on it', () => {
    const pinned = new Map(NAMES.map((name) => [name, nodeSuite.ed25519PublicKey(seedOf(name))]));
    assert.doesNotThrow(() => enter(planOf(NAMES), pinned));
    assert.throws(() => enter(planOf([...NAMES, 'c12']), pinned), /client "c12" is not enrolled here/);
    pinned.set('c2', nodeSuite.ed25519PublicKey(seedOf('another')));
    assert.throws(() => enter(planOf(NAMES), pinned), /client "c2" is not enrolled here/);
  });
});

describe('the configuration of groups', () => {
  const scale = {
    clients: 24,
    cohort: 24,
    rounds: 1,
    partition: 'iid',
    hyper: {},
    training: { batchSize: 1, clientLr: 1, localSteps: 1 },
  };
  const workload: Workload = {
    ...toyWorkload,
    manifest: {
      ...toyWorkload.manifest,
      scales: { smoke: scale, demo: scale, full: scale },
      maskedMetrics: () => [{ name: 'loss', size: 1, max: 16 }],
    },
    init: () => ({ shared: { w: { shape: [2], data: new Float32Array(2) } } }),
  };
  const specFrom = (keys: object) => resolve(checkConfig({ workload: 'toy', ...keys }, 'test'), workload).spec;
  const grouped = { 'secure-aggregation': true, 'secure-groups': 8 };

  it('asks of each group the part of survivors that it asks of the cohort', () => {
    // 18 of 24 are 6 of 8; by default half
    const { work, engine } = specFrom({ ...grouped, 'min-survivors': 18, aggregator: 'median' });
    assert.deepEqual([work.secure?.groupSize, work.secure?.survivorsMin], [8, 6]);
    assert.deepEqual([engine.minSurvivors, engine.aggregator], [18, 'median']);
    assert.equal(specFrom(grouped).work.secure?.survivorsMin, 4);
    assert.equal(specFrom({ ...grouped, 'min-survivors': 1 }).work.secure?.survivorsMin, 2); // a sum of one is no sum
  });

  it('is refused where it cannot hold', () => {
    assert.throws(() => specFrom({ 'secure-groups': 8 }), /secure-groups: expected secure-aggregation to be on, got/);
    assert.throws(
      () => specFrom({ ...grouped, 'secure-groups': 25 }),
      /secure-groups: expected at most the cohort \(24\)/,
    );
    assert.throws(() => specFrom({ ...grouped, 'secure-groups': 2 }), { code: 'invalid-argument' });
    assert.throws(() => specFrom({ ...grouped, 'secure-groups': 9, aggregator: 'median' }), /at least 3/); // 2 groups
    assert.throws(() => specFrom({ 'secure-aggregation': true, aggregator: 'median' }), /or secure-groups/);
    assert.throws(
      () => specFrom({ ...grouped, 'evaluate-clients': 3 }),
      /evaluate-clients: expected 0 .all. or at least/,
    );
  });
});
