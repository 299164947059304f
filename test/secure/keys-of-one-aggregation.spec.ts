/**
 * A coordinator that draws one nonce for two aggregations of an attempt, so that a client whose keys followed from it would
 * use them twice: in the first it is declared gone, and its neighbours give its mask key away; in the second it survives,
 * and they give its own mask away.
 */
import assert from 'node:assert/strict';
import { decodeAdvertise } from '../../shared/secagg/frames.js';
import { HostileCoordinator, hex, taskOf } from './hostile-coordinator.js';
import { setsKnown } from './knowledge.js';
import { NAMES, VICTIM } from './lies.js';
import { enter, type Wired } from './sites.js';

const OTHERS = ['c6', 'c7', 'c8', 'c9'];
const SURVIVORS = NAMES.filter((name) => name !== VICTIM).join(' ');

describe('a lying coordinator with one nonce for two aggregations', () => {
  it('gets keys of one aggregation from the neighbours, and they open no other', async () => {
    const hostile = await HostileCoordinator.open();
    const wired: Wired[] = [];
    try {
      for (const name of [...NAMES, ...OTHERS]) wired.push(await enter(hostile, name));
      const first = hostile.planFor(NAMES);
      const { nonce } = first.secure!;
      hostile.deceive = (type, frame, { to }) => (type === 'bundles' && to === VICTIM ? [] : [frame]);
      const without = hostile.begin(first);
      for (const name of NAMES) hostile.sendPlan(name, first);
      const heard = (type: string) => hostile.heard.filter((frame) => frame.type === type);
      await hostile.when(() => heard('masked').length === NAMES.length - 1);
      hostile.step(without, { kind: 'deadline' }); // the victim is gone
      await hostile.when(() => hostile.isOver(without));
      assert.deepEqual(setsKnown(hostile), [SURVIVORS]);

      hostile.deceive = (_, frame) => [frame];
      hostile.send(VICTIM, { kind: 'withdrawal', task: taskOf(first), reason: 'deadline' });
      const again = [VICTIM, ...OTHERS];
      const other = hostile.planFor(again, { work: { ...first.work, seed: 2 } });
      const second = { ...other, secure: { ...other.secure!, nonce } };
      const whole = hostile.begin(second);
      for (const name of again) hostile.sendPlan(name, second);
      await hostile.when(() => hostile.isOver(whole));
      const keys = heard('advertise')
        .filter(({ client }) => client === VICTIM)
        .map(({ body }) => hex(decodeAdvertise(body).maskPublicKey));
      assert.equal(keys.length, 2, 'the client was in both');
      assert.deepEqual(setsKnown(hostile), [SURVIVORS, again.join(' ')]);
      assert.notEqual(keys[0], keys[1]);
    } finally {
      for (const client of wired) client.kill();
      await hostile.close();
    }
  });
});
