/** Updates on their way in: resumed at an offset, taken over by a newer stream, and together never above the cap. */
import assert from 'node:assert/strict';
import { Uploads } from '../../../server/updates/upload-buffers.js';
import { type HandFed, handFed, turns } from '../../support/hand-fed.js';

const update = (sizeBytes: number, round = 1) => ({ run: 'r', round, attempt: 1, sha256: `${round}`, sizeBytes });
const bytes = (length: number, first = 1) => Uint8Array.from({ length }, (_, i) => first + i);

async function* pieces(content: Uint8Array, size: number) {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

interface Call {
  readonly chunks: HandFed<Uint8Array>;
  readonly done: Promise<Uint8Array>;
  /** Set when it is settled. */
  outcome: string;
}

/** A call that is fed by hand. */
function call(uploads: Uploads, client: string, of = update(8), offset = 0): Call {
  const chunks = handFed<Uint8Array>();
  const done = uploads.receive(client, of, offset, chunks);
  const self: Call = { chunks, done, outcome: 'open' };
  done.then(
    () => {
      self.outcome = 'done';
    },
    ({ code, message }) => {
      self.outcome = code ?? message;
    },
  );
  return self;
}

const cut = new Error('the stream broke');

describe('an upload', () => {
  it('is its bytes, however they are cut', async () => {
    const content = bytes(10);
    for (const size of [1, 3, 10]) {
      const uploads = new Uploads();
      assert.deepEqual(await uploads.receive('a', update(10), 0, pieces(content, size)), content);
      assert.equal(uploads.heldBytes, 0);
    }
    assert.deepEqual(await new Uploads().receive('a', update(0), 0, pieces(bytes(0), 1)), bytes(0));
  });

  it('goes on where it was cut', async () => {
    const uploads = new Uploads();
    const first = call(uploads, 'a');
    first.chunks.push(bytes(3), bytes(2, 4));
    first.chunks.fail(cut);
    await assert.rejects(first.done, cut);
    assert.equal(uploads.status('a', update(8)), 5);
    const second = call(uploads, 'a', update(8), 5);
    second.chunks.push(bytes(3, 6));
    second.chunks.end();
    assert.deepEqual(await second.done, bytes(8));
    assert.equal(uploads.status('a', update(8)), 0, 'nothing is held of what was handed on');
  });

  it('may go back to an earlier offset', async () => {
    const uploads = new Uploads();
    const first = call(uploads, 'a');
    first.chunks.push(Uint8Array.of(1, 2, 99, 99));
    first.chunks.fail(cut);
    await assert.rejects(first.done, cut);
    assert.deepEqual(await uploads.receive('a', update(8), 2, pieces(bytes(6, 3), 4)), bytes(8));
  });

  it('cannot go on past what is here', async () => {
    const uploads = new Uploads();
    const expected = { code: 'invalid-argument', message: 'offset: expected at most 0 (what is here), got 1' };
    await assert.rejects(uploads.receive('a', update(8), 1, pieces(bytes(7), 7)), expected);
    for (const offset of [-1, 0.5, Number.NaN]) {
      await assert.rejects(uploads.receive('a', update(8), offset, pieces(bytes(8), 8)), { code: 'invalid-argument' });
    }
  });

  it('of another update of the same client takes the place of the first', async () => {
    const uploads = new Uploads();
    const first = call(uploads, 'a', update(8, 1));
    first.chunks.push(bytes(4));
    first.chunks.fail(cut);
    await assert.rejects(first.done, cut);
    assert.deepEqual(await uploads.receive('a', update(3, 2), 0, pieces(bytes(3), 3)), bytes(3));
    assert.equal(uploads.status('a', update(8, 1)), 0);
    assert.equal(uploads.heldBytes, 0);
  });

  it('of another update ends the stream of the first, whose room is free', async () => {
    const uploads = new Uploads();
    const first = call(uploads, 'a', update(8, 1));
    first.chunks.push(bytes(4));
    await turns();
    const second = call(uploads, 'a', update(8, 2));
    await turns();
    first.chunks.push(bytes(4));
    await assert.rejects(first.done, { code: 'aborted' });
    assert.equal(uploads.heldBytes, 8);
    second.chunks.push(bytes(8));
    second.chunks.end();
    assert.deepEqual(await second.done, bytes(8));
  });

  it('has exactly the bytes that it declared', async () => {
    const uploads = new Uploads();
    const message = /update: expected 8 bytes as declared, got/;
    await assert.rejects(uploads.receive('a', update(8), 0, pieces(bytes(7), 7)), {
      code: 'invalid-argument',
      message,
    });
    await assert.rejects(uploads.receive('b', update(8), 0, pieces(bytes(9), 4)), {
      code: 'invalid-argument',
      message,
    });
  });

  it('of a size that is none is refused, and leaves no trace', async () => {
    const uploads = new Uploads(100);
    for (const size of [-8, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await assert.rejects(uploads.receive('a', update(size), 0, pieces(bytes(1), 1)), /update/, `${size}`);
    }
    const tooLarge = { code: 'resource-exhausted', message: 'update: expected at most 100 bytes, got 101' };
    await assert.rejects(uploads.receive('a', update(101), 0, pieces(bytes(101), 9)), tooLarge);
    assert.equal(uploads.heldBytes, 0);
    assert.equal((await uploads.receive('a', update(100), 0, pieces(bytes(100), 9))).length, 100);
  });
});

describe('a newer stream of the same upload', () => {
  it('takes over; what the older one still brings is not written', async () => {
    const uploads = new Uploads();
    const older = call(uploads, 'a');
    older.chunks.push(bytes(4));
    await turns();
    const newer = call(uploads, 'a', update(8), 4);
    await turns();
    older.chunks.push(Uint8Array.of(66, 66, 66, 66));
    newer.chunks.push(bytes(4, 5));
    newer.chunks.end();
    assert.deepEqual(await newer.done, bytes(8));
    await assert.rejects(older.done, { code: 'aborted' });
  });

  it('takes over even from one that had only to end', async () => {
    const uploads = new Uploads();
    const older = call(uploads, 'a');
    older.chunks.push(bytes(8));
    await turns();
    const newer = call(uploads, 'a', update(8), 8);
    await turns();
    older.chunks.end();
    await assert.rejects(older.done, { code: 'aborted' });
    newer.chunks.end();
    assert.deepEqual(await newer.done, bytes(8));
    assert.equal(uploads.heldBytes, 0);
  });

  it('that waits for room shares it with the older one that waits', async () => {
    const uploads = new Uploads(8);
    const other = call(uploads, 'z');
    await turns();
    const older = call(uploads, 'a');
    const newer = call(uploads, 'a');
    other.chunks.push(bytes(8));
    other.chunks.end();
    await other.done;
    await turns();
    older.chunks.push(bytes(4));
    older.chunks.fail(cut);
    newer.chunks.push(bytes(8));
    newer.chunks.end();
    assert.deepEqual(await newer.done, bytes(8));
    await turns();
    assert.notEqual(older.outcome, 'done');
    assert.equal(uploads.heldBytes, 0, 'all room is free again');
  });
});

describe('uploads together', () => {
  it('stay below the cap: what does not fit waits, unread, and goes in when there is room', async () => {
    const uploads = new Uploads(16);
    const [a, b, c] = ['a', 'b', 'c'].map((client) => call(uploads, client));
    for (const { chunks } of [a, b, c]) chunks.push(bytes(4));
    await turns();
    assert.deepEqual([a.chunks.taken, b.chunks.taken, c.chunks.taken], [1, 1, 0]);
    assert.equal(uploads.heldBytes, 16);
    a.chunks.push(bytes(4, 5));
    a.chunks.end();
    await a.done;
    await turns();
    assert.equal(c.chunks.taken, 1);
    assert.equal(uploads.heldBytes, 16);
  });

  it('go in one after another, none past one that waits', async () => {
    const uploads = new Uploads(16);
    const a = call(uploads, 'a', update(10));
    await turns();
    const large = call(uploads, 'b', update(12));
    const small = call(uploads, 'c', update(2));
    for (const { chunks } of [large, small]) chunks.push(bytes(1));
    await turns();
    assert.deepEqual([large.chunks.taken, small.chunks.taken], [0, 0]);
    a.chunks.push(bytes(10));
    a.chunks.end();
    await a.done;
    await turns();
    assert.deepEqual([large.chunks.taken, small.chunks.taken], [1, 1]);
  });

  it('make room by forgetting cut ones, oldest first, never one that is being written', async () => {
    const uploads = new Uploads(24);
    const open = call(uploads, 'open');
    for (const client of ['cut-1', 'cut-2']) {
      const one = call(uploads, client);
      one.chunks.push(bytes(2));
      one.chunks.fail(cut);
      await assert.rejects(one.done, cut);
    }
    assert.equal(uploads.heldBytes, 24);
    const next = call(uploads, 'next');
    await turns();
    assert.equal(uploads.heldBytes, 24);
    assert.equal(uploads.status('cut-1', update(8)), 0);
    assert.equal(uploads.status('cut-2', update(8)), 2);
    for (const { chunks } of [open, next]) {
      chunks.push(bytes(8));
      chunks.end();
    }
    assert.deepEqual([(await open.done).length, (await next.done).length], [8, 8]);
  });

  it('do not forget one that has just been let in', async () => {
    const uploads = new Uploads(16);
    const [a, b, c] = ['a', 'b', 'c'].map((client) => call(uploads, client)); // in one turn, before any has begun
    await turns();
    for (const { chunks } of [a, b]) {
      chunks.push(bytes(4));
      chunks.fail(cut);
    }
    await turns();
    assert.equal(uploads.heldBytes, 16);
    assert.deepEqual([a.outcome, b.outcome, c.outcome], [cut.message, cut.message, 'open']);
    c.chunks.push(bytes(8));
    c.chunks.end();
    assert.deepEqual(await c.done, bytes(8));
  });

  it('make room when one that is waited for is cut', async () => {
    const uploads = new Uploads(8);
    const a = call(uploads, 'a');
    await turns();
    const b = call(uploads, 'b');
    a.chunks.fail(cut);
    await assert.rejects(a.done, cut);
    b.chunks.push(bytes(8));
    b.chunks.end();
    assert.deepEqual(await b.done, bytes(8));
    assert.equal(uploads.heldBytes, 0);
  });
});
