/** Faults of a machine, as many as a push can wait for; the long lane has the others (test/long/faults.long.ts). */
import { badDisk, fullDisk } from './faults.js';

describe('a coordinator goes on after the mend, and says what to mend,', function () {
  this.timeout(300_000);

  it('when its disk fills up', fullDisk);
  it('when its journal cannot be synced', badDisk('journal.log', { code: 'EIO', calls: ['datasync', 'sync'] }));
});
