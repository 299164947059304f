/** A pool of threads: what goes wrong in one of them stays there, and nothing is left when it is closed. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { WorkerPool } from '../../../shared/workers/pool.js';
import type { ToySetup, ToyTask } from './toy-thread.js';

const FILE = new URL('./toy-thread.js', import.meta.url);
const NAMES = { pool: 'the toy pool', thread: 'a toy thread' };
const echo = (byte: number): ToyTask => ({ do: 'echo', bytes: Uint8Array.of(byte) });
const portsNow = () => process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;

describe('a pool of threads', () => {
  let started: Int32Array;
  const pools: { close(): Promise<void> }[] = [];

  function open(threads: number, failFrom = Number.POSITIVE_INFINITY) {
    started = new Int32Array(new SharedArrayBuffer(4));
    const workerData: ToySetup = { started, failFrom };
    const pool = new WorkerPool<ToyTask, { thread: number; bytes?: Uint8Array }, string, number>({
      file: FILE,
      threads,
      workerData,
      names: NAMES,
    });
    pools.push(pool);
    return pool;
  }
  afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())));

  it('starts a thread when there is a task for it, no more than it may, and keeps it', async () => {
    const pool = open(2);
    assert.equal(started[0], 0);
    const first = await pool.run(echo(1));
    assert.equal((await pool.run(echo(2))).thread, first.thread);
    assert.equal(started[0], 1);
    const stop = new AbortController();
    const { signal } = stop;
    const told: number[] = [];
    const holding = [1, 2, 3].map((n) => {
      const onNews = () => void (told.push(n) === 2 && stop.abort()); // both threads are busy
      return pool.run({ do: 'wait' }, { signal, onNews });
    });
    const ends = await Promise.allSettled(holding);
    assert.deepEqual(
      ends.map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    );
    assert.deepEqual([told.sort(), started[0]], [[1, 2], 2]);
    const results = await Promise.all([3, 4, 5, 6].map((byte) => pool.run(echo(byte))));
    assert.deepEqual(
      results.map(({ bytes }) => bytes?.[0]),
      [3, 4, 5, 6],
    );
    assert.equal(started[0], 2);
  });

  it('starts all of them when it is asked to, and says what they say', async () => {
    const ids = await open(3).start();
    assert.equal(new Set(ids).size, 3);
    assert.equal(started[0], 3);
  });

  it('tells news before the result, and takes over what it is given', async () => {
    const news: string[] = [];
    const bytes = new Uint8Array(8);
    const running = open(1).run({ do: 'echo', bytes }, { onNews: (one) => news.push(one), transfer: [bytes.buffer] });
    await running.then(() => news.push('done'));
    assert.deepEqual([news, bytes.length], [['working', 'done'], 0]);
  });

  it('fails the task of a thread that dies, and no other; what waits gets a new thread', async () => {
    const pool = open(1);
    const tasks = [pool.run({ do: 'die' }), pool.run(echo(1)), pool.run({ do: 'throw' }), pool.run(echo(2))];
    const [died, one, threw, two] = await Promise.allSettled(tasks);
    assert.equal(String((died as PromiseRejectedResult).reason), 'FlError: a toy thread ended (exit code 7)');
    assert.equal(String((threw as PromiseRejectedResult).reason), 'FlError: no such thing');
    assert.deepEqual([one.status, two.status, started[0]], ['fulfilled', 'fulfilled', 2]);
  });

  it('gives no task to a thread that has died idle', async () => {
    const pool = open(1);
    // Listens from the start: Node may tell of the last message and of the exit in one turn of its loop.
    const gone = (once(process, 'worker') as Promise<[Worker]>).then(([thread]) => once(thread, 'exit'));
    await pool.run({ do: 'die later' });
    await gone;
    assert.equal((await pool.run(echo(1))).bytes?.[0], 1);
    assert.equal(started[0], 2);
  });

  it('fails what waits when no thread can be had, and tries again for the next task', async () => {
    const pool = open(1, 1);
    const cause = { code: 'failed-precondition', message: 'no more threads today' };
    const [dies, waits] = [pool.run({ do: 'die' }), pool.run(echo(1))];
    await assert.rejects(dies, { code: 'internal' });
    await assert.rejects(waits, cause);
    await assert.rejects(pool.run(echo(2)), cause);
    assert.equal(started[0], 3);
    await assert.rejects(open(2, 0).start(), cause);
  });

  it('gives up a task that waits or runs when it is cancelled, and keeps the thread', async () => {
    const pool = open(1);
    const [running, waiting] = [new AbortController(), new AbortController()];
    const onNews = () => running.abort();
    const [first, second] = [
      pool.run({ do: 'wait' }, { signal: running.signal, onNews }),
      pool.run(echo(1), { signal: waiting.signal }),
    ];
    waiting.abort();
    await assert.rejects(second, { code: 'aborted', message: 'the task was cancelled' });
    await assert.rejects(first, { code: 'aborted', message: 'given up' });
    await assert.rejects(pool.run(echo(1), { signal: running.signal }), { message: 'the task was cancelled' });
    await pool.run(echo(2));
    assert.equal(started[0], 1);
  });

  it('rejects everything when it is closed, and leaves no thread', async () => {
    const before = portsNow();
    const pool = open(1);
    const outcomes = Promise.allSettled([pool.run({ do: 'wait' }), pool.run(echo(1))]);
    assert.ok(portsNow() > before);
    await pool.close();
    assert.equal(portsNow(), before);
    for (const outcome of await outcomes) {
      assert.equal(String((outcome as PromiseRejectedResult).reason), 'FlError: the toy pool was closed');
    }
    await assert.rejects(pool.run(echo(1)), { code: 'aborted', message: 'the toy pool was closed' });
    await pool.close(); // twice does no harm
  });

  it('holds no process that has nothing to do but idle threads', async () => {
    const module = new URL('../../../shared/workers/pool.js', import.meta.url);
    const script = `import(${JSON.stringify(module)}).then(async ({ WorkerPool }) => {
      const workerData = { started: new Int32Array(new SharedArrayBuffer(4)), failFrom: 9 };
      const pool = new WorkerPool({ file: new URL(${JSON.stringify(FILE)}), threads: 2, workerData, names: {} });
      await pool.start();
      console.log((await pool.run({ do: 'echo', bytes: Uint8Array.of(5) })).bytes[0]);
    });`;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], { timeout: 20_000 });
    assert.equal(stdout, '5\n'); // and it has ended, unclosed
  });
});
