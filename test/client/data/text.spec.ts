/** Text by speaker: parsing, the fixed alphabet, and windows that keep training and test apart. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ALPHABET, decodeText, encodeText, loadText, parsePlay, type TextRequest } from '../../../client/data/text.js';
import { rngFromSeed } from '../../../shared/rng.js';

const REQUEST: TextRequest = {
  name: 'drawn',
  context: 10,
  minCharacters: 300,
  maxCharacters: 0,
  maxTestWindows: 0,
  rng: rngFromSeed(1),
};

describe('the alphabet of texts', () => {
  it('is the line feed and printable ASCII, and everything in it comes back', () => {
    assert.equal(ALPHABET.length, 96);
    assert.equal(decodeText(encodeText(ALPHABET)), ALPHABET);
  });

  it('has a nearest character for quotes, dashes and accents, and ? for the rest', () => {
    assert.equal(decodeText(encodeText('‘a’ “b” c—d é\r\n中')), '\'a\' "b" c-d e\n?');
  });
});

describe('a play', () => {
  it('is divided by speaker, speeches in their order; a name without a speech says nothing', () => {
    const play =
      'First Citizen:\nBefore we proceed,\nhear me.\n\nAll:\nSpeak.\n\nTITUS:\n\nFirst Citizen:\nYou are all resolved?\n';
    assert.deepEqual(Object.fromEntries(parsePlay(play)), {
      'First Citizen': 'Before we proceed,\nhear me.\n\nYou are all resolved?\n\n',
      All: 'Speak.\n\n',
    });
  });
});

describe('windows of text', () => {
  it('follow one another within a speaker, the first nine tenths for training, and share no character across the cut', async () => {
    const { codes, context, train, test } = await loadText(REQUEST);
    const seen = new Uint8Array(codes.length);
    const ends = new Map<string, number>();
    for (let i = 0; i < train.count; i++) {
      for (let k = 0; k <= context; k++) seen[train.starts[i] + k] = 1;
      ends.set(train.speakers[i], train.starts[i] + context);
    }
    for (let i = 0; i < test.count; i++) {
      for (let k = 0; k <= context; k++) assert.equal(seen[test.starts[i] + k], 0);
      assert.ok(test.starts[i] > (ends.get(test.speakers[i]) ?? Number.POSITIVE_INFINITY));
    }
    assert.equal(new Set(train.speakers).size, 8);
    // of about 300 characters a speaker, 27 windows of 10 are for training and 2 for testing
    assert.deepEqual([train.starts[1] - train.starts[0], train.speakers[0]], [10, 'speaker 1']);
  });

  it('are limited by speaker on request', async () => {
    const all = await loadText({ ...REQUEST, minCharacters: 800 });
    const few = await loadText({ ...REQUEST, minCharacters: 800, maxTestWindows: 3, maxCharacters: 400 });
    assert.ok(all.test.count > 3 * 8);
    assert.equal(few.test.count, 3 * 8);
    assert.equal(few.codes.length, 400 * 8);
  });

  it('of roles with too little text are left out; of none at all, the setting is named', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'starling-text-'));
    try {
      await writeFile(join(folder, 'tinyshakespeare.txt'), `A:\n${'long '.repeat(100)}\n\nB:\nshort\n`);
      const request = { ...REQUEST, name: 'shakespeare', dataDir: folder };
      assert.deepEqual(new Set((await loadText(request)).train.speakers), new Set(['A']));
      await assert.rejects(loadText({ ...request, minCharacters: 1000 }), /hyper\.min-characters/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
