/**
 * A lab rotates its key in the middle of a masked round, over TLS: that round ends without it, it is in the next one by its
 * new key, the model is what it would be, and the ledger proves itself to who knows either key.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rotateKey } from '../../client/rotate-key.js';
import { toHex } from '../../shared/hex.js';
import type { RoundEntry } from '../../shared/ledger/entry.js';
import { verifyLedger } from '../../shared/ledger/verify.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { keysFrom } from '../../shared/signing/hand-over.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { entriesOf } from '../support/ledgers.js';
import { toyModel, toySpec } from '../support/toy.js';
import { Door, NAMES } from './door.js';
import { SECURE } from './hostile-coordinator.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a lab that rotates its key in a masked round', () => {
  let door: Door;
  beforeEach(async () => {
    door = await Door.open();
  });
  afterEach(() => door.close());

  for (const how of ['is stopped for it', 'has not heard of it'])
    it(`and ${how} is in the next round by its new key, and its word is in the lines of the ledger`, async () => {
      const before = toHex(door.homes.get('c-4')!.identity.publicKey);
      const connected = () => door.notices.filter((notice) => notice.startsWith('c-4: connected')).length;
      let after = '';
      const rotate = async () => {
        if (how === 'is stopped for it') (await participant).stop();
        after = (await rotateKey({ clientsDir: join(door.directory, 'clients'), name: 'c-4' })).to;
        const home = await door.homeOf('c-4');
        door.homes.set('c-4', home);
        await door.start('c-4', door.dial(home.tls));
        while (connected() < 2) await turn();
      };
      let isBegun = false;
      let go: () => void = () => {};
      const rotated = new Promise<void>((resolve) => {
        go = resolve;
      });
      door.duringRound = (client) => {
        if (client === 'c-4' && !isBegun) {
          isBegun = true;
          void rotate().then(go);
        }
        return rotated; // nobody has answered by then
      };
      const started = [...door.homes].map(([client, { tls }]) => door.start(client, door.dial(tls)));
      const participant = started[NAMES.indexOf('c-4')];
      while ((await door.online()).length < NAMES.length) await turn();
      const { engine, work } = toySpec({ rounds: 2, minClients: 3, cohort: 4, evaluateEvery: 0 });
      const spec: RunSpec = { engine, work: { ...work, secure: SECURE } };
      const directory = join(door.directory, 'run');
      await door.coordinator.createRun(spec, encode(toyModel()), { id: 'r', directory });
      const events: RunEvent[] = [];
      for await (const line of door.coordinator.admin.watchRun('r')) events.push(JSON.parse(line));
      await rotated;
      const [dropped] = events.flatMap((event) => (event.kind === 'round-ended' ? [event.summary.dropped] : []));
      assert.deepEqual(
        dropped.map(({ client }) => client),
        ['c-4'],
        'its key is not that of the roster',
      );

      const ledger = await readFile(join(directory, 'ledger.jsonl'));
      const [, first, second] = entriesOf(ledger.toString()) as RoundEntry[];
      const rosterKey = ({ secure }: RoundEntry) =>
        secure.flatMap(({ roster }) => roster).find(({ client }) => client === 'c-4')?.key;
      const survived = ({ survivors }: RoundEntry) => survivors.some(({ client }) => client === 'c-4');
      assert.equal(survived(second), true);
      assert.equal(rosterKey(second), after);
      assert.ok([undefined, before, after].includes(rosterKey(first)));
      const words = (second.clientHandOvers ?? []).map(({ client, ...word }) => {
        assert.equal(client, 'c-4');
        return word;
      });
      assert.deepEqual(keysFrom({ client: 'c-4' }, before, words), [before, after]);

      const listed = (own: readonly string[]) => {
        const others = [...door.homes].map(([client, { identity }]) => [client, [toHex(identity.publicKey)]] as const);
        const verdict = verifyLedger(ledger, { enrolment: new Map([...others, ['c-4', own]]) });
        return verdict.ok ? 'ok' : verdict.reason;
      };
      assert.equal(listed([after, before]), 'ok', 'by a list of after it');
      assert.match(listed(['0'.repeat(64)]), /enrolled key of c-4/);
    });
});
