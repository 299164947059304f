/** Mutants of the client: what it believes, what is durable before it is said, what its training gives. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

const SAID = ['client/round/durable-before-said', 'client/round/taken-down-first', 'client/round/participant'];
const SECURE = ['client/round/secagg-task', 'client/round/taken-down-first'];
const ACCOUNT = [
  'client/round/privatize',
  'client/round/durable-before-said',
  'client/store/privacy-account',
  'client/store/releases',
];
const DP_SGD = ['client/training/dp-sgd'];

export const CLIENT = [
  ...mutantsOf('client/round/participant', SAID, [
    ['a forged receipt is not believed', '&& this.#checkReceipt(frame))', ')'],
    ['a receipt is this client’s', 'frame.receipt.client === this.#options.client && ', ''],
    [
      'an update goes only after its ledger line',
      'void this.#heads\n          .then(() => this.#options.store.forget',
      'void Promise.resolve()\n          .then(() => this.#options.store.forget',
    ],
    [
      'a disk that cannot forget ends the client',
      '.catch((error) => this.#fail(error));\n    }\n  }',
      '.catch(() => undefined);\n    }\n  }',
    ],
    [
      'a client that has stopped says nothing',
      '#post(event: SessionEvent): void {\n    if (this.#stopped) return;',
      '#post(event: SessionEvent): void {',
    ],
    ['an update is sent once at a time', 'if (this.#uploading.has(key)) return;', ''],
  ]),
  ...mutantsOf('client/round/sayable', SAID, [
    [
      'metrics that are not finite are a failure',
      "answer.kind === 'evaluation' && !areFinite",
      "answer.kind === 'decline' && !areFinite",
    ],
  ]),
  ...mutantsOf('client/round/examples', SAID, [
    [
      'the site hears why a plan is declined',
      "return notice('plan declined', { ...taskOf(plan), ...decline });",
      'return;',
    ],
  ]),
  ...mutantsOf(
    'client/round/work',
    [...SAID, 'client/round/work'],
    [
      ['"trained" is said when the disk has it', 'await store.keep({ header', 'void store.keep({ header'],
      ['a withdrawn update is not written', 'if (options.signal?.aborted) return;\n  const bytes', 'const bytes'],
      [
        'a protected run says nothing of a failure',
        'isProtected(work) ? FAILED : withoutExamples(cause)',
        'withoutExamples(cause)',
      ],
      ['a protected run counts no steps', 'isProtected(plan.work) ? inPercent : inSteps', 'inSteps'],
      [
        'the site’s log has an evaluation before it leaves',
        "await record(taskOf(plan), 'evaluation'",
        "void record(taskOf(plan), 'evaluation'",
      ],
      [
        'what a site’s rules forbid is declined',
        "if (code === 'permission-denied')",
        'if (false as boolean)',
        ['secure/differencing', 'secure/lying-over-time'],
      ],
    ],
  ),
  ...mutantsOf('client/round/secagg-task', SECURE, [
    [
      'a masked vector leaves when the disk has it',
      "if (output.kind === 'persist') await store.keep",
      "if (output.kind === 'persist') void store.keep",
    ],
    [
      'a vector is bound before it leaves',
      'if (!(await this.#options.store.bind(this.#id, this.task))) throw secondVector(this.task);',
      'void this.#options.store.bind(this.#id, this.task);',
    ],
    [
      'a second vector is refused at the start',
      'if (!options.store.mayMask(task.#id, task.task)) throw',
      'if (false as boolean) throw',
      ['secure/lying-over-time'],
    ],
    [
      'whoever has left gives no vector',
      "output.type === 'masked' && this.#leaving)",
      "output.type === 'masked' && (false as boolean))",
    ],
    [
      'a frame is taken down before it is sent',
      '&& record !== undefined) await record(',
      '&& record !== undefined) void record(',
    ],
    [
      'sums that differ by too few are not signed',
      'if (conflict !== undefined) throw',
      'if (false as boolean) throw',
      ['secure/differencing', 'secure/lying-over-time'],
    ],
    [
      'a list of one’s own is what counts',
      'if (own === plan) return createEnrolment(nodeSuite, enrolled);',
      'if (own === plan) return createEnrolment(nodeSuite, listed(own));',
      ['secure/differencing', 'secure/lying-over-time'],
    ],
  ]),
  ...mutantsOf('client/round/privatize', ACCOUNT, [
    ['a release is drawn once', 'if (kept !== undefined) return account?.charge(plan).then(() => kept) ?? kept;', ''],
    ['a charge is on the disk before it leaves', 'await account?.charge(plan);', 'void account?.charge(plan);'],
    [
      'what is charged was kept first',
      'await releases.keep(name, await draw(noiseOf(plan)))',
      'await draw(noiseOf(plan))',
    ],
    ['a lost release is not drawn again', 'account?.isCharged(plan) ? lost(plan) : undefined', 'undefined'],
    ['a client-level contribution weighs 1', 'weight > 0 ? 1 : 0', 'weight'],
    [
      'a client-level contribution has no metrics',
      'isAdaptive ? [...weights, 1] : weights, metrics: {} }',
      'isAdaptive ? [...weights, 1] : weights, metrics: contribution.metrics }',
    ],
    ['the sign of the adaptive bound weighs 1', 'isAdaptive ? [...weights, 1] : weights', 'weights'],
    ['a changed example moves twice as far', 'rho: 4 * release.rho', 'rho: 2 * release.rho'],
    [
      'a release of another bound has another name',
      'round, modelSha256, work, ...bound, ...aggregation',
      'round, modelSha256, work, ...aggregation',
    ],
  ]),
  ...mutantsOf(
    'client/round/verify-signed',
    ['client/round/verify-signed', 'client/round/participant'],
    [
      [
        'a plan is signed',
        'if (!verifySignature(coordinatorKey',
        'if ((false as boolean) && !verifySignature(coordinatorKey',
      ],
      [
        'a remembered plan has its signature',
        'equal(last.body, body) && equal(last.signature, signature)',
        'equal(last.body, body)',
      ],
      ['a model is the plan’s', 'if (got !== sha256)', 'if (false as boolean)'],
    ],
  ),
  ...mutantsOf('client/store/privacy-account', ACCOUNT, [
    [
      'a charge counts when it is on the disk',
      'await lines.append(encodeCharges(next.slice(-1)));\n    charges = next;',
      'charges = next;\n    await lines.append(encodeCharges(next.slice(-1)));',
    ],
    ['a charge is durable when it resolves', 'await lines.append(', 'void lines.append('],
    ['an account goes on at its delta', 'delta !== begun)', 'delta < begun)'],
    ['what is charged costs nothing more', 'const once = isCharged(plan) ? 0 : 1;', 'const once = 1;'],
  ]),
  ...mutantsOf(
    'client/store/updates',
    ['client/store/updates'],
    [
      ['a damaged update is not read', 'header.sha256 === sha256Hex(bytes) ?', '(true as boolean) ?'],
      ['an update is durable', 'await writeFileDurably(join(updates', 'void writeFileDurably(join(updates'],
    ],
  ),
  ...mutantsOf(
    'client/store/private-tensors',
    ['client/store/updates'],
    [
      ['private tensors are those before the round', 'kept < round).at(-1)', 'kept <= round).at(-1)'],
      [
        'the last private tensors before a round are kept',
        'before.filter((kept) => kept < last)',
        'before.filter((kept) => kept <= last)',
      ],
      ['private tensors are of one run', 'match?.[1] === run', 'match !== null'],
      [
        'private tensors are durable',
        'await writeFileDurably(fileOf(run, round)',
        'void writeFileDurably(fileOf(run, round)',
      ],
    ],
  ),
  ...mutantsOf(
    'client/store/secagg',
    ['client/store/secagg'],
    [
      ['an older attempt gets no vector', 'attempt > last.attempt);', 'attempt >= last.attempt - 1);'],
      ['a used aggregation is remembered', 'kept.used.add(id);\n', '\n'],
      ['a binding is durable', 'await save.masked();', 'void save.masked();'],
    ],
  ),
  ...mutantsOf('client/store/releases', ACCOUNT, [
    [
      'a settled release is gone',
      'const settled = { ...rest, isSettled: true };',
      'const settled = { ...rest, isSettled: false };',
    ],
    ['a client follows a run only forwards', 'if (round < last.round ||', 'if ('],
    ['a release is durable when it is kept', 'await saved.catch((error) => {', 'void saved.catch((error) => {'],
  ]),
  ...mutantsOf('client/training/dp-sgd', DP_SGD, [
    ['each step has a lot of its own', 'rng.split(`lot/${step}`)', "rng.split('lot')"],
    ['each step has noise of its own', 'rng.split(`noise/${step}`)', "rng.split('noise')"],
    ['rounds have noise of their own', '`dp-sgd/v1/${round}/', '`dp-sgd/v1/'],
    ['a step is divided by the expected lot', 'samplingRate * shard.train.length, rng', 'lot.length, rng'],
    ['no data, no steps', 'shard.train.length === 0 ? 0 :', 'shard.train.length === -1 ? 0 :'],
    [
      'noise is sized for what rounding adds',
      'clippingBound * (1 + allowance)',
      'clippingBound',
      ['client/training/dp-sgd-allowance'],
    ],
    [
      'a workload with a procedure of its own is refused',
      'perExampleLoss !== undefined && train === undefined',
      'perExampleLoss !== undefined',
    ],
  ]),
  ...mutantsOf(
    'client/training/per-example/lot',
    [...DP_SGD, 'client/training/per-example/index'],
    [
      ['an empty lot does not repeat the last sum', 'total.fill(0);', 'if (lot.length > 0) total.fill(0);'],
      ['each tensor has its place', 'total[offset + i] += part[i]', 'total[i] += part[i]'],
      ['chunks add up', 'total[offset + i] += part[i]', 'total[offset + i] = part[i]'],
    ],
  ),
  ...mutantsOf(
    'client/training/evaluate',
    ['client/training/evaluate'],
    [
      [
        'a partial last batch is evaluated',
        'Math.ceil(indices.length / BATCH_SIZE)',
        'Math.floor(indices.length / BATCH_SIZE)',
      ],
      ['batches add up', 'total = addMetrics(total, measured)', 'total = measured'],
      ['metrics that are not finite are an error', 'if (diverged !== undefined) throw', 'if (false as boolean) throw'],
    ],
  ),
  ...mutantsOf(
    'client/training/finite',
    ['client/training/finite'],
    [
      ['negative weights are refused', 'if (wrong !== undefined)', 'if (false as boolean)'],
      ['a weight that is no number is found', 'if (!weights.every(Number.isFinite))', 'if (false as boolean)'],
      ['zeros weigh as the contribution would have', 'isWhole ? weights :', 'false ? weights :'],
    ],
  ),
];
