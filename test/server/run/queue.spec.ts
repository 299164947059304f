/** Jobs of a run: one after another, and none after one that fails. */
import assert from 'node:assert/strict';
import { JobQueue } from '../../../server/run/queue.js';
import type { FlError } from '../../../shared/errors.js';

describe('a queue of jobs', () => {
  let said: string[];
  let fatal: FlError[];
  let queue: JobQueue;
  beforeEach(() => {
    said = [];
    fatal = [];
    queue = new JobQueue((error) => fatal.push(error));
  });
  afterEach(() => assert.deepEqual(fatal, []));

  const say = (what: string) => () => [void said.push(what)];

  it('does them in order, also those that a job puts in, and none at once', async () => {
    queue.put(function* () {
      queue.put(say('third'));
      yield void said.push('first');
    });
    queue.put(say('second'));
    assert.deepEqual(said, []);
    await queue.idle();
    assert.deepEqual(said, ['first', 'second', 'third']);
    queue.put(say('fourth'));
    await queue.idle();
    assert.deepEqual(said, ['first', 'second', 'third', 'fourth']);
    await queue.idle();
  });

  it('waits for what a job yields before it goes on, in that job too', async () => {
    let written = () => {};
    const disk = new Promise<void>((resolve) => {
      written = resolve;
    });
    queue.put(function* () {
      yield disk;
      yield void said.push('durable');
    });
    queue.put(say('next'));
    await new Promise(setImmediate);
    assert.deepEqual(said, []);
    written();
    await queue.idle();
    assert.deepEqual(said, ['durable', 'next']);
  });

  it('does what it has taken when it is closed, and takes nothing more', async () => {
    queue.put(function* () {
      queue.put(say('too late'));
      yield void said.push('first');
    });
    queue.put(say('second'));
    const closed = queue.close();
    queue.put(say('too late'));
    await closed;
    queue.put(say('too late'));
    await queue.idle();
    assert.deepEqual(said, ['first', 'second']);
  });

  it('has things said in their turn, also when it is closed, and not once a job has failed', async () => {
    let written = () => {};
    const disk = new Promise<void>((resolve) => {
      written = resolve;
    });
    queue.put(() => [disk]);
    queue.put(say('durable'));
    const answers = [queue.inTurn(() => said.push('said'))];
    const closed = queue.close();
    answers.push(queue.inTurn(() => said.push('said late')));
    await new Promise(setImmediate);
    assert.deepEqual([...said], []);
    written();
    await closed;
    assert.deepEqual(await Promise.all(answers), [2, 3]);
    await assert.rejects(
      queue.inTurn(() => assert.fail('not to be said')),
      /not to be said/,
    );

    const broken = new JobQueue(() => {});
    broken.put(() => [Promise.reject(new Error('the disk is full'))]);
    await broken.idle();
    await assert.rejects(
      broken.inTurn(() => said.push('never')),
      /the disk is full/,
    );
    assert.deepEqual(said, ['durable', 'said', 'said late']);
  });

  it('does nothing more after a job that throws or waits for what fails, and says so once', async () => {
    const failures = [
      function* (): Iterable<void> {
        yield void said.push('before');
        throw new Error('a bug');
      },
      () => [Promise.reject(new Error('the disk is full'))],
    ];
    for (const failing of failures) {
      const broken = new JobQueue((error) => said.push(error.message));
      broken.put(failing);
      broken.put(say('never'));
      await broken.idle();
      broken.put(say('never'));
      await broken.idle();
    }
    assert.deepEqual(said, ['before', 'a bug', 'the disk is full']);
  });
});
