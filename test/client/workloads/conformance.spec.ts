/**
 * Every workload of the registry against the claims that a workload makes. A new one is in here by its name.
 */
import { selectBackend } from '../../../client/backends/index.js';
import { listWorkloads, loadWorkload } from '../../../client/workloads/index.js';
import { CLAIMS, type Subject, subjectOf } from './claims.js';

for (const name of listWorkloads()) {
  describe(`workload ${name}`, () => {
    let subject: Subject;
    before(async () => {
      await selectBackend('wasm'); // the one that a run takes by itself; contract.spec.ts ties the others to it
      subject = subjectOf(await loadWorkload(name));
    });
    for (const [claim, check] of CLAIMS) it(claim, () => check(subject));
  });
}
