/** Mutants of a client’s tasks, transfers, session and training in the clear. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

export const TRAINING = [
  ...mutantsOf(
    'client/workloads/heart/patients',
    ['client/workloads/heart/patients'],
    [
      ['a hospital is scaled by its own patients', '({ hospital }) => byHospital[hospital]', '() => everyone'],
      ['tests are in no mean', 'const everyone = spreadOf(train);', 'const everyone = spreadOf([...train, ...test]);'],
      ['gaps are left out', "if (read.includes('?')) continue;", ''],
      ['any grade is ill', 'isIll: diagnosis !== 0', 'isIll: diagnosis === 1'],
      ["the copy's healthy are 1", "['1', '0'][Number(cells[DIAGNOSIS])]", "['0', '1'][Number(cells[DIAGNOSIS])]"],
      ["the copy's chest pain", "['4', '2', '3', '1']", "['1', '2', '3', '4']"],
      ['only the listed copy', "if (state !== 'ok')", "if (state === 'missing')"],
    ],
  ),
  ...mutantsOf(
    'client/workloads/brca/survival',
    ['client/workloads/brca/survival'],
    [
      ['equal risks are half of a pair', 'tf.mul(equal, 0.5)', 'equal'],
      ['who is seen alive on the day lived longer', '(times[one] === times[other] && events[other] === 0)', 'false'],
      ['who lives longer is at risk', 'times[other] > times[one] ||', 'times[other] < times[one] ||'],
      [
        'only deaths count',
        'tf.mul(tf.logSumExp(counted, 1), tf.squeeze(events, [1]))',
        'tf.logSumExp(counted, 1) as tf.Tensor1D',
      ],
    ],
  ),
  ...mutantsOf(
    'client/training/local-sgd',
    ['client/training/local-sgd'],
    [
      ['momentum decays', 'tf.mul(v, training.momentum)', 'v'],
      ['a proximal pull is to the start', 'tf.sub(w, state.anchor[i])', 'w'],
      ['short gradients are not lengthened', 'tf.maximum(norm, bound)', 'norm'],
      ['an update weighs its examples', 'fill(shard.train.length)', 'fill(1)'],
      ['a cosine begins at the top', '(round - 1)) / rounds', 'round) / rounds'],
      ['a warm-up begins at 1/W', 'Math.min(1, round / lrWarmupRounds)', 'Math.min(1, (round - 1) / lrWarmupRounds)'],
      ['a last batch counts', 'Math.ceil(examples / training.batchSize)', 'Math.floor(examples / training.batchSize)'],
      ['a loss is weighed by its batch', 'lossSum += loss * indices.length;', 'lossSum += loss;'],
      ['what diverged is full of NaN', 'if (diverged !== undefined) values.fill(Number.NaN);', ''],
      ['a task that is cancelled ends', 'throwIfCancelled(input.signal);', ''],
      [
        'names stand for one tensor',
        'if (tensors.length !== sharedTensors +',
        'if (false && tensors.length !== sharedTensors +',
      ],
      [
        'each epoch has an order of its own',
        'const order = rng.shuffle(examples.slice());\n    for',
        'const order = rng.split("x").shuffle(examples.slice());\n    for',
      ],
      ['Adam weighs its first steps up', 'learningRate / (1 - BETA_1 ** (steps + 1))', 'learningRate'],
      ['Adam divides by a root', 'tf.sqrt(tf.mul(second[i], unbiased))', 'tf.mul(second[i], unbiased)'],
      ['Adam has its own momentum', "optimizer === 'adam' && momentum !== 0", 'false'],
      ['a pull of weight decay', 'tf.mul(w, weightDecay)', 'weightDecay'],
      [
        'gradients are clipped over all tensors',
        'tf.addN(present.map((grad) => tf.sum(tf.square(grad))))',
        'tf.sum(tf.square(present[0]))',
      ],
      ['private tensors have no pull', 'upload(tensors.slice(0, sharedTensors))', 'upload(tensors)'],
      [
        'frozen tensors are the model’s',
        '.filter(([name]) => trained[name] === undefined)',
        '.filter(([name]) => trained[name] !== undefined)',
      ],
      [
        'a batch has the batch size',
        'order.slice(start, start + batchSize)',
        'order.slice(start, start + batchSize + 1)',
      ],
      ['no examples, no steps', 'if (examples === 0) return 0;', ''],
    ],
  ),
  ...mutantsOf(
    'client/training/contribute',
    ['client/training/contribute'],
    [
      ['a stranger’s tensor is refused', 'if (unknown !== undefined) throw', 'if (false as boolean) throw'],
      [
        'a missing tensor is refused',
        'if (added?.length !== size) throw',
        'if (added !== undefined && added.length !== size) throw',
      ],
      ['a tensor has its own weight', 'weights[name] ?? update', 'update'],
      ['an added channel weighs as the update', 'trained.get(name)?.i ?? 0] ?? 0', 'trained.get(name)?.i ?? -1] ?? 0'],
    ],
  ),
  ...mutantsOf(
    'client/training/evaluate',
    ['client/training/evaluate'],
    [
      ['one example sees no other', '[input.split]: one };', '[input.split]: indices };'],
      [
        'every example is looked at',
        'for (let at = 0; at < indices.length; at++)',
        'for (let at = 1; at < indices.length; at++)',
      ],
      [
        'an evaluation that is cancelled ends',
        'for (let step = 0; step < steps; step++) {\n      throwIfCancelled(input.signal);',
        'for (let step = 0; step < steps; step++) {',
      ],
      ['what diverged is told after the last batch', '&& !input.toTheEnd) break;', ') break;'],
    ],
  ),
  ...mutantsOf(
    'client/round/tasks',
    ['client/round/what-a-task-is-given', 'client/round/tasks', 'client/round/durable-before-said', 'secure/zeroed'],
    [
      ['a model that no training makes is refused', 'checkModel(model);', ''],
      [
        'private tensors are on the disk when training resolves',
        'await store.keepPrivateTensors',
        'void store.keepPrivateTensors',
      ],
      [
        'an evaluation has the private tensors of its round',
        'taskFor(plan, plan.round + 1, options)',
        'taskFor(plan, plan.round, options)',
      ],
      ['a contribution has its size', 'checkSize(plan, contribution.values);', ''],
      [
        'only example-level privacy draws in training',
        "plan.work.privacy?.mode === 'example' ? noise",
        'plan.work.privacy ? noise',
      ],
      ['zeros are told as such', '...zeroedOf(plan, zeroed) } };', '} };'],
    ],
  ),
  ...mutantsOf(
    'client/round/plausible',
    ['client/round/tasks', 'secure/zeroed'],
    [
      ['both signs are looked at', 'Math.abs(values[i]) <= MOST', 'values[i] <= MOST'],
      ['every value is looked at', 'let i = 0; i < values.length; i++', 'let i = 0; i < values.length - 1; i++'],
    ],
  ),
  ...mutantsOf(
    'client/round/transfers',
    ['client/round/transfers', 'client/round/what-a-task-is-given'],
    [
      [
        'a model is no longer than the plan says',
        'if (offset + chunk.length > file.length) throw',
        'if (false as boolean) throw',
      ],
      ['a plan’s size has a limit', 'if (modelSizeBytes > limit) throw', 'if (false as boolean) throw'],
      [
        'a cut download goes on',
        "if (offset < file.length) throw new FlError('unavailable'",
        "if (false as boolean) throw new FlError('unavailable'",
      ],
      [
        'a known model is compared',
        'else if (!equal(chunk, file.subarray(offset, offset + chunk.length)))',
        'else if (false as boolean)',
      ],
      ['a call of an older session means nothing', '&& session === this.#deps.connection.session) throw', ') throw'],
      ['an upload goes on where it was cut', 'first ? 0 : await this.#deps.service.uploadStatus(session, update)', '0'],
      ['a model that came is the plan’s', 'small?.sha256 === plan.modelSha256 ? small.file', 'small ? small.file'],
      ['a withdrawn transfer ends', "if (signal?.aborted) throw new FlError('aborted', 'withdrawn');", ''],
    ],
  ),
  ...mutantsOf(
    'client/round/session',
    ['client/round/session'],
    [
      [
        'an update made while away is sent on return',
        'if (state.kept.some((kept) => belongsTo(kept, update))) out',
        'if (false as boolean) out',
      ],
      ['it is sent once', 'online: true, unannounced: []', 'online: true'],
      ['a receipt is for that update', '&& kept.sha256 === receipt.updateSha256', ''],
      ['a newer plan voids an older', '(older) => older.run === plan.run', '() => false'],
      ['other runs go on', '(older) => older.run === plan.run', '() => true'],
      ['an evaluation is not answered by an update', "plan.kind === 'train' ? state.kept", 'true ? state.kept'],
      [
        'what is forgotten was told so',
        'if (state.kept.some((kept) => belongsTo(kept, update)))',
        'if (true as boolean)',
      ],
      [
        'away, nothing is sent',
        "if (state.online) out.push({ kind: 'upload', update });",
        "out.push({ kind: 'upload', update });",
      ],
    ],
  ),
  ...mutantsOf(
    'client/training/fewer-steps',
    ['secure/fewer-steps'],
    [
      ['fewer steps are lengthened', 'gradientsIn(asked, training) / gradientsIn(taken, training)', '1'],
      ['partial work of fedprox is not', 'training.proximalMu > 0 ? 1', 'false ? 1'],
      ['momentum carries gradients on', '(1 - momentum ** steps)', '0'],
      ['steps are cut by steps', 'most.localSteps ?? asked', 'asked'],
      ['epochs are cut by epochs', 'Math.min(localEpochs, most.localEpochs ?? localEpochs)', 'localEpochs'],
    ],
  ),
  ...mutantsOf(
    'client/data/hold-out',
    ['client/data/hold-out'],
    [
      ['a place in each stretch is drawn', 'Math.floor(rng.uniform() * (end - first))', '0'],
      ['the last stretch counts', 'Math.ceil(count * fraction)', 'Math.floor(count * fraction)'],
    ],
  ),
];
