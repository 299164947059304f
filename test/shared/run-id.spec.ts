import assert from 'node:assert/strict';
import { slugOf, stampOf } from '../../shared/run-id.js';

describe('ids and names of files', () => {
  it('have small letters, digits and single dashes only', () => {
    assert.equal(slugOf('./My workload_2.ts'), '-my-workload-2-ts');
    assert.equal(slugOf('privacy-demo'), 'privacy-demo');
    assert.equal(slugOf('Straße 9', 5), 'stra-');
    assert.equal(slugOf(''), '');
  });

  it('have times that sort', () => {
    assert.equal(stampOf(Date.UTC(2026, 10, 24, 20, 30, 0, 999)), '20261124-203000');
  });
});
