/** kill -9, as many as a push can wait for; the long lane has more (test/long/crash.long.ts). */
import { describeKills } from './kills.js';

describe('kill -9', function () {
  this.timeout(300_000);
  describeKills(8);
});
