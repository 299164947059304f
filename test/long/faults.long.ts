/** Each fault of a machine and of a disk that docs/decisions/0092 and 0091 speak of, on real processes. */
import { badDisk, clockJumps, fullDisk, noDescriptors, readOnly, twoCoordinators } from '../e2e/faults.js';
import { damagedFiles } from './damage.js';

describe('a coordinator goes on after the mend, and says what to mend,', function () {
  this.timeout(600_000);

  it('when its disk fills up', fullDisk);
  it('when its disk turns read-only', readOnly);
  for (const file of ['journal.log', 'ledger.jsonl', 'models/']) {
    it(`when ${file} cannot be synced`, badDisk(file, { code: 'EIO', calls: ['datasync', 'sync'] }));
    it(`when ${file} finds no space`, badDisk(file, { code: 'ENOSPC', calls: ['write'] }));
  }
  it('when the connections are more than its descriptors', noDescriptors);
  it('when there are two of it', twoCoordinators);
  it('when its clock jumps', clockJumps);
  it(
    'when journals, ledgers and models of finished and of running runs are damaged, beside a stray folder',
    damagedFiles,
  );
});
