/** Updates on their way in: resumed at an offset, taken over by a newer stream, and together never above the cap. */
import assert from 'node:assert/strict';
import { UploadBuffers } from '../../../server/updates/upload-buffers.js';
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
function call(uploads: UploadBuffers, client: string, of = update(8), offset = 0): Call {
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
      const uploads = new UploadBuffers();
      assert.deepEqual(await uploads.receive('a', update(10), 0, pieces(content, size)), content);
      assert.equal(uploads.heldBytes, 0);
    }
    assert.deepEqual(await new UploadBuffers().receive('a', update(0), 0, pieces(bytes(0), 1)), bytes(0));
  });

  it('goes on where it was cut', async () => {
    const uploads = new UploadBuffers();
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
    const uploads = new UploadBuffers();
    const first = call(uploads, 'a');
    first.chunks.push(Uint8Array.of(1, 2, 99, 99));
    first.chunks.fail(cut);
    await assert.rejects(first.done, cut);
    assert.deepEqual(await uploads.receive('a', update(8), 2, pieces(bytes(6, 3), 4)), bytes(8));
  });

  it('cannot go on past what is here', async () => {
    const uploads = new UploadBuffers();
    const expected = { code: 'invalid-argument', message: 'offset: expected at most 0 (what is here), got 1' };
    await assert.rejects(uploads.receive('a', update(8), 1, pieces(bytes(7), 7)), expected);
    for (const offset of [-1, 0.5, Number.NaN]) {
      const message = `offset: expected an integer >= 0, got ${offset}`;
      await assert.rejects(uploads.receive('a', update(8), offset, pieces(bytes(8), 8)), {
        code: 'invalid-argument',
        message,
      });
    }
  });

  it('is what its client says it is: nothing is here of another run, round, attempt, hash or size', async () => {
    const one = update(8);
    const others = [{ run: 's' }, { round: 2 }, { attempt: 2 }, { sha256: '2' }].map((change) => ({
      ...one,
      ...change,
    }));
    for (const other of [...others, { ...one, sizeBytes: 10 }]) {
      const uploads = new UploadBuffers();
      const first = call(uploads, 'a', one);
      first.chunks.push(bytes(4));
      first.chunks.fail(cut);
      await assert.rejects(first.done, cut);
      assert.deepEqual([uploads.status('a', one), uploads.status('b', one)], [4, 0]);
      if (other.sizeBytes === 8) assert.equal(uploads.status('a', other), 0);
      const message = 'offset: expected at most 0 (what is here), got 4';
      await assert.rejects(uploads.receive('a', other, 4, pieces(bytes(4), 4)), { code: 'invalid-argument', message });
      assert.equal(uploads.heldBytes, other.sizeBytes, 'it has taken the place of the first');
    }
  });

  it('of another update of the same client takes the place of the first', async () => {
    const uploads = new UploadBuffers();
    const first = call(uploads, 'a', update(8, 1));
    first.chunks.push(bytes(4));
    first.chunks.fail(cut);
    await assert.rejects(first.done, cut);
    assert.deepEqual(await uploads.receive('a', update(3, 2), 0, pieces(bytes(3), 3)), bytes(3));
    assert.equal(uploads.status('a', update(8, 1)), 0);
    assert.equal(uploads.heldBytes, 0);
  });

  it('of another update ends the stream of the first, whose room is free', async () => {
    const uploads = new UploadBuffers();
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
    const uploads = new UploadBuffers();
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
    const uploads = new UploadBuffers(100);
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
    const uploads = new UploadBuffers();
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
    const uploads = new UploadBuffers();
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
    const uploads = new UploadBuffers(8);
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

describe('two streams of one client that wait for room and get it at once', () => {
  const waiting = async (first: ReturnType<typeof update>, second: ReturnType<typeof update>) => {
    const uploads = new UploadBuffers(16);
    const other = call(uploads, 'z', update(16));
    await turns();
    const [older, newer] = [call(uploads, 'a', first), call(uploads, 'a', second)];
    other.chunks.push(bytes(16));
    other.chunks.end();
    await other.done;
    await turns();
    assert.equal(uploads.heldBytes, 8, 'one place for both');
    for (const { chunks } of [older, newer]) chunks.push(bytes(8));
    for (const { chunks } of [older, newer]) chunks.end();
    assert.deepEqual(await newer.done, bytes(8));
    await assert.rejects(older.done, { code: 'aborted' });
    assert.equal(uploads.heldBytes, 0);
  };

  it('share it if they are of the same update', () => waiting(update(8), update(8)));
  it('leave it to the newer if they are not', () => waiting(update(8, 1), update(8, 2)));
});

describe('a stream that waits for room while an older one of its update writes', () => {
  it('goes on from what that has brought', async () => {
    const uploads = new UploadBuffers(16);
    const [y, z] = ['y', 'z'].map((client) => call(uploads, client));
    await turns();
    const [older, other] = [call(uploads, 'a'), call(uploads, 'b')];
    const again = call(uploads, 'a', update(8), 4);
    const end = async ({ chunks, done }: Call, content: Uint8Array) => {
      chunks.push(content);
      chunks.end();
      return done;
    };
    await end(y, bytes(8));
    older.chunks.push(bytes(4));
    await turns();
    assert.deepEqual([older.chunks.taken, other.chunks.taken, again.chunks.taken], [1, 0, 0]);
    await end(z, bytes(8));
    await end(other, bytes(8));
    await turns();
    assert.deepEqual(await end(again, bytes(4, 5)), bytes(8));
    older.chunks.push(bytes(1));
    await assert.rejects(older.done, { code: 'aborted' });
    assert.equal(uploads.heldBytes, 0);
  });
});

describe('uploads together', () => {
  it('go in as many as fit when a large one has ended', async () => {
    const uploads = new UploadBuffers(32);
    const large = call(uploads, 'z', update(32));
    await turns();
    const small = ['a', 'b', 'c', 'd', 'e'].map((client) => call(uploads, client));
    for (const { chunks } of small) chunks.push(bytes(4));
    large.chunks.push(bytes(32));
    large.chunks.end();
    await large.done;
    await turns();
    assert.deepEqual(
      small.map(({ chunks }) => chunks.taken),
      [1, 1, 1, 1, 0],
    );
    assert.equal(uploads.heldBytes, 32);
  });

  it('give room to one that waits when a client begins another update, though its first stream hangs', async () => {
    const uploads = new UploadBuffers(8);
    const hanging = call(uploads, 'a', update(8, 1));
    hanging.chunks.push(bytes(4));
    await turns();
    const waits = call(uploads, 'b');
    await turns();
    const next = call(uploads, 'a', update(8, 2));
    for (const { chunks } of [waits, next]) chunks.push(bytes(8));
    await turns();
    assert.deepEqual([waits.chunks.taken, next.chunks.taken], [1, 0]);
    for (const { chunks } of [waits, next]) chunks.end();
    assert.deepEqual([await waits.done, await next.done], [bytes(8), bytes(8)]);
    assert.equal(uploads.heldBytes, 0);
  });

  it('stay below the cap: what does not fit waits, unread, and goes in when there is room', async () => {
    const uploads = new UploadBuffers(16);
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
    const uploads = new UploadBuffers(16);
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
    const uploads = new UploadBuffers(24);
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
    const uploads = new UploadBuffers(16);
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
    const uploads = new UploadBuffers(8);
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
