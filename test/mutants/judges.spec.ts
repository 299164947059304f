import assert from 'node:assert/strict';
import { type Court, noticed } from './judges.js';
import type { Mutant } from './mutant.js';

const mutant = (claim: string): Mutant => ({ file: 'a', find: 'b', replace: 'c', specs: ['d'], claim });
const [first, second] = [mutant('first'), mutant('second')];
type Answer = Awaited<ReturnType<Court['try']>>;
const passed = { isStray: false, hasOthers: false, tookMs: 1 };
const failed = { ...passed, failed: 'a test' };

/** What is noticed where these are the answers on the first mutant, on the second, and without any. */
async function noticedOf([one, two, asItIs]: readonly Answer[], { isShared = true } = {}) {
  const answers = new Map<Mutant | undefined, Answer>([
    [first, one],
    [second, two],
    [undefined, asItIs],
  ]);
  const court: Court = { limitMs: 30, isShared, end() {}, try: async (mutant) => answers.get(mutant)! };
  return noticed([first, second], court);
}

describe('a mutant is killed', () => {
  it('by a test that fails with it, where the spec passes without it after', async () => {
    assert.deepEqual(await noticedOf([failed, passed, passed]), new Map([[first, 'a test']]));
    assert.deepEqual(await noticedOf([passed, passed, passed]), new Map());
  });

  it('by nothing, where the spec fails without it, too, or takes so long that no limit says anything', async () => {
    for (const isShared of [true, false]) {
      for (const last of [failed, 'gone', { ...passed, tookMs: 11 }] as const) {
        assert.equal(await noticedOf([failed, passed, last], { isShared }), undefined);
      }
    }
  });

  it('by a process that does not end, if it is its own', async () => {
    assert.equal(await noticedOf(['gone', passed, passed]), undefined);
    assert.deepEqual(
      await noticedOf([passed, 'gone', passed], { isShared: false }),
      new Map([[second, 'it does not end']]),
    );
  });

  it('by no fault of code that another mutant has left running', async () => {
    assert.equal(await noticedOf([failed, { ...failed, isStray: true }, passed]), undefined);
  });
});
