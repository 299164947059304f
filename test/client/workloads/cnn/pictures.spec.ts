/** The pictures of the CNN workload. */
import assert from 'node:assert/strict';
import { loadImages } from '../../../../client/data/images.js';
import { confusionArtefact } from '../../../../client/workloads/cnn/pictures.js';
import { rngFromSeed } from '../../../../shared/rng.js';

describe('the confusion matrix', () => {
  it('shows whole images, also when secure aggregation has left the sums a grid step off', async () => {
    const request = { name: 'drawn', trainExamples: 10, testExamples: 10, dataDir: undefined, drawnSize: 12 } as const;
    const data = await loadImages({ ...request, rng: rngFromSeed(1) });
    const counts = Array.from({ length: 100 }, (_, i) => (i % 11 === 0 ? 200 : 1));
    const offGrid = counts.map((count, i) => count + (i % 2 === 0 ? 0.0002 : -0.0002));
    assert.deepEqual(confusionArtefact(offGrid, data).bytes, confusionArtefact(counts, data).bytes);
  });
});
