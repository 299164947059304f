/** kill -9 again and again: the crash test of every push, with kills in each phase of a run's life; KILLS=300 for more. */
import { describeKills } from '../e2e/kills.js';

describe('kill -9', function () {
  this.timeout(900_000);
  describeKills(Number(process.env.KILLS ?? 52));
});
