/**
 * The world of a simulation: a virtual clock, one heap of things to come, and dice. Nothing happens twice in it: equal
 * seeds give equal worlds, and the trace hash says so.
 */

/** xorshift32 (Marsaglia 2003, https://doi.org/10.18637/jss.v008.i14); the seed is stirred so that neighbours differ. */
export class Dice {
  #state: number;

  constructor(seed: number, label = 0) {
    this.#state = Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) ^ Math.imul(label + 1, 0x85ebca6b) || 1;
    for (let i = 0; i < 8; i++) this.#next();
  }

  #next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** An integer in [low, high]. */
  between(low: number, high: number): number {
    return low + (this.#next() % (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.#next() < probability * 2 ** 32;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.between(0, items.length - 1)];
  }
}

interface Entry {
  readonly atMs: number;
  /** Ties are broken by who came first. */
  readonly order: number;
  readonly run: () => void;
}

export class World {
  readonly dice: Dice;
  nowMs = 0;
  events = 0;
  #order = 0;
  #trace = 0x811c9dc5;
  readonly #heap: Entry[] = [];

  constructor(seed: number) {
    this.dice = new Dice(seed);
  }

  after(delayMs: number, run: () => void): void {
    this.#push({ atMs: this.nowMs + delayMs, order: this.#order++, run });
  }

  /** Runs until nothing is left to happen, or past `untilMs`. Returns whether everything has happened. */
  run(untilMs: number): boolean {
    for (let entry = this.#pop(); entry !== undefined; entry = this.#pop()) {
      if (entry.atMs > untilMs) return false;
      this.nowMs = entry.atMs;
      this.events++;
      entry.run();
    }
    return true;
  }

  /** Adds a line to what happened (FNV-1a over its characters and the time). */
  note(line: string): void {
    let hash = Math.imul(this.#trace ^ this.nowMs, 0x01000193);
    for (let i = 0; i < line.length; i++) hash = Math.imul(hash ^ line.charCodeAt(i), 0x01000193);
    this.#trace = hash;
  }

  /** Equal for equal histories. */
  get traceHash(): string {
    return (this.#trace >>> 0).toString(16).padStart(8, '0');
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/**
 * A control stream between two ends: in order in each direction, and gone as a whole when it is cut. Each end notices
 * the cut in its own time.
 */
export class Stream<ToServer, ToClient> {
  readonly #world: World;
  readonly #server: { receive(frame: ToServer): void; broken(): void };
  readonly #client: { receive(frame: ToClient): void; broken(): void };
  #toServerMs = 0;
  #toClientMs = 0;
  alive = true;

  constructor(
    world: World,
    server: { receive(frame: ToServer): void; broken(): void },
    client: { receive(frame: ToClient): void; broken(): void },
  ) {
    this.#world = world;
    this.#server = server;
    this.#client = client;
  }

  toServer(frame: ToServer): void {
    this.#toServerMs = Math.max(this.#toServerMs, this.#world.nowMs + this.#world.dice.between(1, 120));
    this.#deliver(this.#toServerMs, () => this.#server.receive(frame));
  }

  toClient(frame: ToClient): void {
    this.#toClientMs = Math.max(this.#toClientMs, this.#world.nowMs + this.#world.dice.between(1, 120));
    this.#deliver(this.#toClientMs, () => this.#client.receive(frame));
  }

  /** Ends after what the client has sent is through. */
  closeByClient(): void {
    this.#deliver(Math.max(this.#toServerMs, this.#world.nowMs + 1), () => this.cut());
  }

  cut(): void {
    if (!this.alive) return;
    this.alive = false;
    const { dice } = this.#world;
    this.#world.after(dice.between(1, 1500), () => this.#server.broken());
    this.#world.after(dice.between(1, 1500), () => this.#client.broken());
  }

  #deliver(atMs: number, run: () => void): void {
    this.#world.after(atMs - this.#world.nowMs, () => {
      if (this.alive) run();
    });
  }
}
