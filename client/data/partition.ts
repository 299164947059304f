/**
 * Who holds which examples: one data set divided among simulated clients.
 *
 *     iid          shuffled and dealt out; sizes differ by at most one
 *     dirichlet:A  label skew: client k draws its classes from q_k ~ Dirichlet(A · p), p the class frequencies, without
 *                  replacement, all clients of one size (Hsu, Qi & Brown 2019, https://arxiv.org/abs/1909.06335);
 *                  large A is iid, small A one class per client
 *     shards:K     sorted by label, cut into clients · K shards, K to each client (McMahan et al. 2017, section 3)
 *     natural      by the groups of the data (site, writer, speaker): whole groups, in order if there are as many
 *                  clients as groups, else shuffled and dealt round
 *
 * Test examples go where training examples of their class are, in proportion, each to exactly one client: so a client is
 * tested on its own mixture of classes, and sums over clients are sums over the whole test set. Of a validation split alike.
 */
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';

type Scheme =
  | { readonly kind: 'iid' }
  | { readonly kind: 'dirichlet'; readonly alpha: number }
  | { readonly kind: 'shards'; readonly shardsPerClient: number }
  | { readonly kind: 'natural' };

/** `labels[i]` and `groups[i]` belong to example i of `count`. */
export type Examples = {
  readonly count: number;
  readonly labels?: ArrayLike<number>;
  readonly groups?: ArrayLike<number | string>;
};

type PartitionOptions = {
  readonly scheme: Scheme | string;
  readonly clients: number;
  readonly train: Examples;
  readonly test: Examples;
  readonly validation?: Examples;
};

/** Example indices of each client, ascending. Every index is in exactly one array. */
export type Partition = {
  readonly train: Int32Array[];
  readonly test: Int32Array[];
  readonly validation?: Int32Array[];
};

/**
 * Divides the splits; the result depends on the arguments and `rng`'s seed alone.
 * @throws FlError invalid-argument: a client would get no training example, or the scheme needs labels or groups that
 *   are not there.
 */
export function partition({ scheme, clients, train, test, validation }: PartitionOptions, rng: Rng): Partition {
  checkCount('clients', clients, 1);
  checkExamples('train', train);
  checkExamples('test', test);
  if (validation !== undefined) checkExamples('validation', validation);
  if (clients > train.count) throw invalidArgument('clients', `at most the ${train.count} training examples`, clients);
  const parsed = typeof scheme === 'string' ? parseScheme(scheme) : scheme;
  const owners = trainOwners(parsed, clients, train, rng.split('train'));
  const judging = (split: string, examples: Examples) => {
    const byGroup = parsed.kind === 'natural' && examples.groups !== undefined;
    const sameGroups = byGroup ? ownersByGroup(train, owners) : new Map();
    return indicesByOwner(
      testOwners({ clients, train, test: examples, owners, sameGroups }, rng.split(split)),
      clients,
    );
  };
  return {
    train: indicesByOwner(owners, clients),
    test: judging('test', test),
    ...(validation && { validation: judging('validation', validation) }),
  };
}

/** Reads `iid`, `natural`, `dirichlet:0.1`, `shards:2`. @throws FlError invalid-argument */
export function parseScheme(text: string): Scheme {
  const [kind, ...rest] = text.trim().split(':');
  const setting = rest.length === 0 ? undefined : rest.join(':');
  if ((kind === 'iid' || kind === 'natural') && setting === undefined) return { kind };
  if (kind === 'dirichlet') {
    const alpha = Number(setting || Number.NaN);
    if (!(alpha > 0 && Number.isFinite(alpha))) throw invalidArgument('partition', 'dirichlet:A with A above 0', text);
    return { kind, alpha };
  }
  if (kind === 'shards') {
    const shardsPerClient = Number(setting || Number.NaN);
    if (!(Number.isSafeInteger(shardsPerClient) && shardsPerClient >= 1)) {
      throw invalidArgument('partition', 'shards:K with K a whole number of at least 1', text);
    }
    return { kind, shardsPerClient };
  }
  throw invalidArgument('partition', 'iid, dirichlet:A, shards:K or natural', text);
}

/** `owners[i]` is the client that holds training example i. */
function trainOwners(scheme: Scheme, clients: number, train: Examples, rng: Rng): Int32Array {
  switch (scheme.kind) {
    case 'iid':
      return iidOwners(clients, train.count, rng);
    case 'dirichlet':
      return dirichletOwners(scheme.alpha, clients, classesOf('dirichlet', train, rng), rng);
    case 'shards':
      return shardOwners(scheme.shardsPerClient, clients, classesOf('shards', train, rng), rng);
    case 'natural':
      return groupOwners(clients, train, rng);
  }
}

function iidOwners(clients: number, count: number, rng: Rng): Int32Array {
  const owners = new Int32Array(count);
  const order = rng.shuffle(Int32Array.from({ length: count }, (_, i) => i));
  for (let i = 0; i < count; i++) owners[order[i]] = i % clients;
  return owners;
}

/** Client by client, example by example: a class from q_k among those that are not used up, then its next example. */
function dirichletOwners(alpha: number, clients: number, classes: readonly Int32Array[], rng: Rng): Int32Array {
  const count = classes.reduce((sum, { length }) => sum + length, 0);
  const owners = new Int32Array(count);
  const left = classes.map(({ length }) => length);
  const alphas = left.map((length) => (alpha * length) / count);
  for (let client = 0; client < clients; client++) {
    const logs = alphas.map((a) => logGammaDraw(a, rng));
    let mixture = normalise(logs, left);
    const end = Math.floor(((client + 1) * count) / clients);
    for (let given = Math.floor((client * count) / clients); given < end; given++) {
      const chosen = draw(mixture, rng);
      owners[classes[chosen][--left[chosen]]] = client;
      if (left[chosen] === 0 && given + 1 < end) mixture = normalise(logs, left);
    }
  }
  return owners;
}

/** exp(logs) over the classes with something left, scaled to the sum 1: again a Dirichlet draw, on those classes. */
function normalise(logs: readonly number[], left: readonly number[]): number[] {
  const largest = Math.max(...logs.filter((_, c) => left[c] > 0));
  const shares = logs.map((log, c) => (left[c] > 0 ? Math.exp(log - largest) : 0));
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map((share) => share / sum);
}

function shardOwners(perClient: number, clients: number, classes: readonly Int32Array[], rng: Rng): Int32Array {
  const sorted = classes.flatMap((members) => [...members]);
  const shards = clients * perClient;
  if (shards > sorted.length) {
    const expected = `clients * ${perClient} of at most ${sorted.length} examples`;
    throw new FlError('invalid-argument', `shards:${perClient}: expected ${expected}, got ${clients} clients`);
  }
  const owners = new Int32Array(sorted.length);
  const order = rng.shuffle(Int32Array.from({ length: shards }, (_, i) => i));
  for (let position = 0; position < shards; position++) {
    const shard = order[position];
    const end = Math.floor(((shard + 1) * sorted.length) / shards);
    for (let i = Math.floor((shard * sorted.length) / shards); i < end; i++) {
      owners[sorted[i]] = Math.floor(position / perClient);
    }
  }
  return owners;
}

function groupOwners(clients: number, { count, groups }: Examples, rng: Rng): Int32Array {
  if (groups === undefined) throw invalidArgument('train.groups', 'a group for each example (scheme natural)', groups);
  const names = [...new Set(Array.from(groups))].sort(ascending);
  if (clients > names.length) throw invalidArgument('clients', `at most the ${names.length} groups`, clients);
  if (clients < names.length) rng.shuffle(names);
  const clientOf = new Map(names.map((name, i) => [name, i % clients]));
  return Int32Array.from({ length: count }, (_, i) => clientOf.get(groups[i])!);
}

type TestOptions = Pick<PartitionOptions, 'clients' | 'train' | 'test'> & {
  readonly owners: Int32Array;
  readonly sameGroups: ReadonlyMap<number | string, number>;
};

/** A test example of a training group follows its group; the rest of each class is apportioned. */
function testOwners({ clients, train, test, owners, sameGroups }: TestOptions, rng: Rng): Int32Array {
  const byLabel = train.labels !== undefined && test.labels !== undefined;
  const labelOf = (examples: Examples, i: number) => (byLabel ? examples.labels![i] : 0);
  const totals = new Array<number>(clients).fill(0);
  const weights = new Map<number, number[]>();
  for (let i = 0; i < train.count; i++) {
    const label = labelOf(train, i);
    if (!weights.has(label)) weights.set(label, new Array<number>(clients).fill(0));
    weights.get(label)![owners[i]]++;
    totals[owners[i]]++;
  }
  const result = new Int32Array(test.count);
  const rest = new Map<number, number[]>();
  for (let i = 0; i < test.count; i++) {
    const owner = test.groups === undefined ? undefined : sameGroups.get(test.groups[i]);
    if (owner !== undefined) {
      result[i] = owner;
      continue;
    }
    const label = labelOf(test, i);
    if (!rest.has(label)) rest.set(label, []);
    rest.get(label)!.push(i);
  }
  for (const [label, members] of [...rest].sort(([a], [b]) => a - b)) {
    rng.shuffle(members);
    let next = 0;
    const parts = apportion(members.length, weights.get(label) ?? totals, rng);
    parts.forEach((part, client) => {
      for (const end = next + part; next < end; next++) result[members[next]] = client;
    });
  }
  return result;
}

/** `total` in whole parts in proportion to `weights`: floors, then one each by largest remainder, ties by lot. */
export function apportion(total: number, weights: readonly number[], rng: Rng): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  const parts = weights.map((weight) => Math.floor((total * weight) / sum));
  // weight · total − part · sum is the remainder in integers: ties are exact.
  const remainder = (i: number) => total * weights[i] - parts[i] * sum;
  const order = rng.shuffle(weights.map((_, i) => i));
  order.sort((a, b) => remainder(b) - remainder(a));
  const left = total - parts.reduce((a, b) => a + b, 0);
  for (const i of order.slice(0, left)) parts[i]++;
  return parts;
}

/** Indices of each class, shuffled; classes by ascending label. */
function classesOf(scheme: string, { count, labels }: Examples, rng: Rng): Int32Array[] {
  if (labels === undefined) throw invalidArgument('train.labels', `a label for each example (${scheme})`, labels);
  const members = new Map<number, number[]>();
  for (let i = 0; i < count; i++) {
    const already = members.get(labels[i]);
    if (already === undefined) members.set(labels[i], [i]);
    else already.push(i);
  }
  return [...members].sort(([a], [b]) => a - b).map(([, indices]) => rng.shuffle(Int32Array.from(indices)));
}

/**
 * The logarithm of a Gamma(alpha, 1) draw, alpha > 0 (Marsaglia & Tsang 2000, "A simple method for generating gamma
 * variables"; section 6 for alpha below 1). Normalised, such draws are Dirichlet; in logarithms, since at an alpha of
 * 0.01 most of them underflow.
 */
function logGammaDraw(alpha: number, rng: Rng): number {
  const d = alpha + 1 - 1 / 3;
  for (;;) {
    const x = rng.normal();
    const v = (1 + x / Math.sqrt(9 * d)) ** 3;
    if (v > 0 && Math.log(1 - rng.uniform()) < x * x * 0.5 + d - d * v + d * Math.log(v)) {
      return Math.log(d * v) + Math.log(1 - rng.uniform()) / alpha;
    }
  }
}

/** An index drawn in proportion to `weights`. */
function draw(weights: readonly number[], rng: Rng): number {
  let mark = rng.uniform() * weights.reduce((a, b) => a + b, 0);
  let last = -1;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    last = i;
    mark -= weights[i];
    if (mark < 0) return i;
  }
  return last; // rounding may leave the mark at 0
}

function ownersByGroup({ groups }: Examples, owners: Int32Array): Map<number | string, number> {
  return new Map(Array.from(groups!, (group, i) => [group, owners[i]]));
}

function indicesByOwner(owners: Int32Array, clients: number): Int32Array[] {
  const sizes = new Int32Array(clients);
  for (const owner of owners) sizes[owner]++;
  const indices = Array.from(sizes, (size) => new Int32Array(size));
  const filled = new Int32Array(clients);
  owners.forEach((owner, i) => {
    indices[owner][filled[owner]++] = i;
  });
  return indices;
}

function ascending(a: number | string, b: number | string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function checkCount(field: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw invalidArgument(field, `a whole number of at least ${least}`, value);
  }
}

function checkExamples(split: string, { count, labels, groups }: Examples): void {
  checkCount(`${split}.count`, count, 0);
  if (labels !== undefined && labels.length !== count)
    throw invalidArgument(`${split}.labels`, `${count}`, labels.length);
  if (groups !== undefined && groups.length !== count)
    throw invalidArgument(`${split}.groups`, `${count}`, groups.length);
}
