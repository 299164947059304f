/** kill -9 again and again: the crash test of every push, with a kill in each of twenty-four parts of a run, on both sides; KILLS=300 for more. */
import { describeKills } from '../e2e/kills.js';

describe('kill -9', function () {
  this.timeout(300_000);
  describeKills(Number(process.env.KILLS ?? 48));
});
