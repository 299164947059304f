/** The life of a client's key at its coordinator, and of the coordinator's own in its data directory. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identityIn, rotateIdentity } from '../../server/keys.js';
import { Registry } from '../../server/registry.js';
import { toHex } from '../../shared/hex.js';
import { keysFrom, MAX_HAND_OVERS, signHandOver } from '../../shared/signing/hand-over.js';
import { allKeysOf, identityFromSeed } from '../../shared/signing/identity.js';
import { DyingFiles } from '../support/dying-files.js';

const identityOf = (n: number) => identityFromSeed(new Uint8Array(32).fill(n));
const [one, two, three, thief] = [1, 2, 3, 9].map(identityOf);
const lab = { client: 'lab' };
const denied = (message: RegExp) => ({ code: 'permission-denied', message });

describe('a client that rotates its key', () => {
  const log: unknown[] = [];
  let registry: Registry;
  const keyNow = () => toHex(registry.get('lab').publicKey);

  beforeEach(async () => {
    log.length = 0;
    registry = new Registry({ append: async (record) => void log.push(JSON.parse(JSON.stringify(record))) }, []);
    await registry.enrolTrusted('lab', one.publicKey, 1);
    await registry.enrolTrusted('other', identityOf(8).publicKey, 1);
  });

  it('is enrolled by the new one, also at the next start, and stands as it stood', async () => {
    await registry.setStanding('lab', 'suspend', { reason: 'on leave', nowMs: 2 });
    assert.equal(await registry.rotate('lab', signHandOver(lab, one, two), 3), true);
    assert.equal(await registry.rotate('lab', signHandOver(lab, two, three), 4), true);
    registry = new Registry({ append: async () => undefined }, log);
    assert.equal(keyNow(), toHex(three.publicKey));
    assert.equal(registry.standingOf('lab').standing, 'suspended');
    const { handOvers = [], enrolledAtMs } = registry.get('lab');
    assert.equal(enrolledAtMs, 1);
    assert.equal(keysFrom(lab, toHex(one.publicKey), handOvers).at(-1), keyNow());
    assert.deepEqual(registry.handOversOf('lab', 4), handOvers.slice(1));
  });

  it('gets the same answer to the same word, which changes nothing any more', async () => {
    const word = signHandOver(lab, one, two);
    await registry.rotate('lab', word, 2);
    assert.equal(await registry.rotate('lab', word, 3), false);
    assert.equal(log.length, 3);
  });

  it('is not what a stranger, an old key, another client or a word of before can make of it', async () => {
    const first = signHandOver(lab, one, two);
    await registry.rotate('lab', first, 2);
    await registry.rotate('lab', signHandOver(lab, two, three), 3);
    const refused = (word: typeof first, why: RegExp) => assert.rejects(registry.rotate('lab', word, 4), denied(why));
    await refused(first, /not enrolled by the key that gives any more/);
    await refused(signHandOver(lab, one, thief), /not enrolled by the key that gives any more/);
    await refused(
      { ...signHandOver(lab, three, thief), from: toHex(three.publicKey), signature: first.signature },
      /not both/,
    );
    await refused(signHandOver({ client: 'other' }, three, thief), /not both signed/);
    await refused(signHandOver(lab, thief, thief), /not both signed/);
    await assert.rejects(registry.rotate('lab', signHandOver(lab, three, one), 4), { code: 'already-exists' });
    await assert.rejects(registry.rotate('lab', signHandOver(lab, three, identityOf(8)), 4), {
      code: 'already-exists',
    });
    assert.equal(keyNow(), toHex(three.publicKey));
  });

  it('may have so many keys, one after another, and then begins anew', async () => {
    const keys = Array.from({ length: MAX_HAND_OVERS + 2 }, (_, i) =>
      i === 0
        ? one
        : identityFromSeed(Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? i & 0xff : at + (i >> 8)))),
    );
    for (let i = 0; i < MAX_HAND_OVERS; i++) await registry.rotate('lab', signHandOver(lab, keys[i], keys[i + 1]), i);
    const further = signHandOver(lab, keys[MAX_HAND_OVERS], keys[MAX_HAND_OVERS + 1]);
    await assert.rejects(registry.rotate('lab', further, 999), denied(/at most 256 keys.*next: .*re-enrol lab$/));
    assert.equal(keyNow(), toHex(keys[MAX_HAND_OVERS].publicKey));
    assert.equal(log.length, 2 + MAX_HAND_OVERS, 'nothing of it is kept');
  });

  it('is not taken while it is revoked', async () => {
    await registry.setStanding('lab', 'revoke', { reason: 'stolen', nowMs: 2 });
    await assert.rejects(registry.rotate('lab', signHandOver(lab, one, two), 3), denied(/stolen/));
  });
});

describe("a coordinator's key that is rotated", () => {
  let dataDir: string;

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'starling-rotation-'));
  });

  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  it('is the old one or the new one, whole, wherever the process is killed, and the old one leads to it', async () => {
    const first = await identityIn(dataDir, false);
    let changes = 0;
    const found = new Set<string>();
    for (let isDone = false; !isDone; changes++) {
      const files = new DyingFiles(changes);
      const before = await identityIn(dataDir, true);
      isDone = await Promise.race([files.died.then(() => false), rotateIdentity(dataDir, files).then(() => true)]);
      const after = await identityIn(dataDir, true);
      const [before16, after16] = [before, after].map(({ publicKey }) => toHex(publicKey));
      assert.ok(allKeysOf(after).includes(before16), 'a key that nobody vouched for');
      found.add(before16 === after16 ? 'old' : 'new');
      assert.equal(await readFile(join(dataDir, 'identity.pub'), 'utf8'), after16);
      const keys = keysFrom('coordinator', toHex(first.publicKey), after.handOvers ?? []);
      assert.equal(keys.at(-1), after16);
    }
    assert.deepEqual([...found].sort(), ['new', 'old']);
    assert.ok(changes > 10, `${changes} places`);
  });

  it('does not follow a word that was forged, nor one that was cut off', async () => {
    await identityIn(dataDir, false);
    const { handOvers = [] } = await rotateIdentity(dataDir);
    await rotateIdentity(dataDir);
    const { writeFile } = await import('node:fs/promises');
    const put = (words: unknown) => writeFile(join(dataDir, 'hand-overs.json'), JSON.stringify(words));
    await put(handOvers);
    await assert.rejects(identityIn(dataDir, true), /the key that hand-overs\.json ends with/);
    await put([{ ...handOvers[0], to: toHex(thief.publicKey) }]);
    await assert.rejects(identityIn(dataDir, true), /signed by both keys/);
    for (const none of [Array(10_000).fill(handOvers[0]), '[', [{ ...handOvers[0], more: 1 }]]) {
      await put(none);
      await assert.rejects(identityIn(dataDir, true), /as JSON/);
    }
  });
});
