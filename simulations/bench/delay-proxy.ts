/**
 * A bad network in user space: a TCP proxy on loopback that delays, limits, swallows, holds or cuts what passes. (The
 * kernel's own, `tc netem`, needs a module and root.) Bytes are counted where they leave for the other side.
 *
 * Up is from the one who connects to the target; down is the way back.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

/** `up` is towards the target. */
export type Direction = 'up' | 'down';

/** What the network is like; absent: no delay, no limit. */
export interface ProxyOptions {
  readonly targetPort: number;
  /** Each way; a round trip takes twice as long. */
  readonly latencyMs?: number;
  readonly bytesPerSecond?: number;
}

/** What may wait in one direction of one connection before the sender is no longer read from. */
const MAX_QUEUE_BYTES = 64 * 1024 * 1024;

/** One proxy on a port of its own; `passed` counts bytes by direction. */
export class DelayProxy {
  readonly passed: Record<Direction, number> = { up: 0, down: 0 };
  readonly #options: ProxyOptions;
  readonly #server: Server;
  readonly #pipes = new Set<Pipe>();
  readonly #held = new Set<Direction>();
  readonly #cuts: Record<Direction, number> = { up: Number.POSITIVE_INFINITY, down: Number.POSITIVE_INFINITY };
  #swallow = false;

  private constructor(options: ProxyOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => this.#join(client));
  }

  /** Listens on a free port of 127.0.0.1. */
  static async start(options: ProxyOptions): Promise<DelayProxy> {
    const proxy = new DelayProxy(options);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new TypeError('the proxy is closed');
    return `127.0.0.1:${address.port}`;
  }

  /** Keeps what comes, in this direction, until {@link release}. */
  hold(direction: Direction): void {
    this.#held.add(direction);
  }

  release(direction: Direction): void {
    this.#held.delete(direction);
    for (const pipe of this.#pipes) pipe.pump();
  }

  /** From now on nothing arrives, and nobody is told: a half-open link. */
  blackHole(): void {
    this.#swallow = true;
  }

  /** Resets both ends when so many bytes have passed in this direction (over all connections). */
  cutAfter(direction: Direction, bytes: number): void {
    this.#cuts[direction] = bytes;
  }

  /** Resets every connection. */
  kill(): void {
    for (const pipe of this.#pipes) pipe.destroy();
  }

  async close(): Promise<void> {
    this.kill();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(client: Socket): void {
    const port = this.#options.targetPort;
    const target = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
    const rules = (direction: Direction): PipeRules => ({
      latencyMs: this.#options.latencyMs ?? 0,
      bytesPerSecond: this.#options.bytesPerSecond ?? Number.POSITIVE_INFINITY,
      held: () => this.#held.has(direction),
      swallows: () => this.#swallow,
      budget: () => this.#cuts[direction] - this.passed[direction],
      onPassed: (bytes) => {
        this.passed[direction] += bytes;
      },
    });
    for (const pipe of [new Pipe(client, target, rules('up')), new Pipe(target, client, rules('down'))]) {
      this.#pipes.add(pipe);
      pipe.onEnd = () => this.#pipes.delete(pipe);
    }
  }
}

interface PipeRules {
  readonly latencyMs: number;
  readonly bytesPerSecond: number;
  held(): boolean;
  swallows(): boolean;
  /** Bytes that may still pass before the cut. */
  budget(): number;
  onPassed(bytes: number): void;
}

/** One direction of one connection. */
class Pipe {
  onEnd: () => void = () => {};
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #rules: PipeRules;
  readonly #queue: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
  #queuedBytes = 0;
  #freeAtMs = 0;
  #ended = false;
  #destroyed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, rules: PipeRules) {
    this.#from = from;
    this.#to = to;
    this.#rules = rules;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => {
      this.#ended = true;
      this.pump();
    });
    from.on('error', () => this.destroy());
    from.on('close', () => {
      // What was read before an orderly end is still delivered.
      if (!this.#ended) this.destroy();
      this.onEnd();
    });
    to.on('drain', () => this.pump());
  }

  /** Sends what is due. */
  pump(): void {
    clearTimeout(this.#timer);
    if (this.#destroyed) return;
    while (this.#queue.length > 0 && !this.#rules.held() && !this.#to.writableNeedDrain) {
      const waitMs = this.#queue[0].dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs);
        return;
      }
      this.#send(this.#queue.shift()!.bytes);
    }
    if (this.#queuedBytes < MAX_QUEUE_BYTES) this.#from.resume();
    if (this.#queue.length === 0 && this.#ended) this.#to.end();
  }

  destroy(): void {
    this.#destroyed = true;
    clearTimeout(this.#timer);
    this.#from.destroy();
    this.#to.destroy();
  }

  #take(bytes: Buffer): void {
    if (this.#rules.swallows()) return;
    this.#freeAtMs = Math.max(this.#freeAtMs, performance.now()) + (bytes.length / this.#rules.bytesPerSecond) * 1000;
    this.#queue.push({ bytes, dueMs: this.#freeAtMs + this.#rules.latencyMs });
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes >= MAX_QUEUE_BYTES) this.#from.pause();
    if (this.#queue.length === 1) this.pump();
  }

  #send(bytes: Buffer): void {
    this.#queuedBytes -= bytes.length;
    const budget = this.#rules.budget();
    const part = bytes.length > budget ? bytes.subarray(0, Math.max(0, budget)) : bytes;
    this.#rules.onPassed(part.length);
    if (part === bytes) {
      this.#to.write(part);
      return;
    }
    // The cut: what is before it still arrives, then both ends are gone.
    this.#to.end(part, () => this.destroy());
  }
}
