import assert from 'node:assert/strict';
import { resultLines } from '../../../cli/terminal/result.js';
import { sampleReport } from '../../server/report/sample.js';

describe('result of a simulation', () => {
  it('sets the federation beside training alone and all data in one place', () => {
    // Own test: two clients with 0.03 and 0.10 (federated), 0.50 and 0.57 (alone): means 0.065 and 0.535.
    const report = sampleReport({ rounds: 3, clients: 2 });
    assert.deepEqual(resultLines(report, { reportPath: 'runs/1/report.html' }), [
      // 901 + 902 + 903 ms
      'cnn completed  3 rounds  2.7 s  wasm',
      '',
      'test.accuracy          pooled test     own test',
      'each client alone           21.3 %       53.5 %',
      'federated                   92.4 %        6.5 %',
      'all data in one place       95.3 %            -',
      '',
      'privacy  epsilon 4.2 of 8 at delta 0.00001 for one client; distributed noise',
      `model    ${'ab'.repeat(32)}`,
      'report   runs/1/report.html',
    ]);
  });

  it('names the best client alone, how many trained alone, and whose training failed', () => {
    const report = sampleReport({ rounds: 3, clients: 2 });
    const { local } = report.baselines;
    const best = { client: 'c2', metrics: { 'test.accuracy': 0.5 } };
    const failures = { c9: 'loss is not finite' };
    const baselines = { ...report.baselines, local: { ...local!, best, clients: 30, failures } };
    const lines = resultLines({ ...report, baselines });
    assert.deepEqual(lines.slice(2, 8), [
      'test.accuracy                pooled test     own test',
      'each client alone (2 of 30)       21.3 %       53.5 %',
      'best client alone                 50.0 %       57.0 %',
      'federated                         92.4 %        6.5 %',
      'all data in one place             95.3 %            -',
      'failed: c9: loss is not finite',
    ]);
  });

  it('warns of zeroed contributions before any figure', () => {
    const report = sampleReport({ rounds: 3, clients: 9 });
    const rounds = report.rounds.map((round) => ({ ...round, survivors: 9, zeroed: 3 * (round.round - 1) + 1 }));
    // 1, 4 and 7 of 9 each
    assert.equal(
      resultLines({ ...report, rounds })[1],
      'WARNING  zeroed: 12 of 27 contributions, in rounds 1, 2, 3; numbers there were not finite; the logs of the sites say why',
    );
    const none = rounds.map((round) => ({ ...round, zeroed: 0 }));
    assert.deepEqual(resultLines({ ...report, rounds: none }), resultLines(report));
  });

  it('says less when there is less', () => {
    const report = {
      ...sampleReport({ rounds: 0, clients: 0 }),
      status: 'failed' as const,
      reason: 'nobody\u001b[2J came',
      final: { metrics: {}, perClient: {} },
      baselines: {},
      privacy: null,
      modelSha256: '',
    };
    assert.deepEqual(resultLines(report), ['cnn failed: nobody\ufffd[2J came  0 rounds  0 ms  wasm', '']);
  });

  it('says which way is better where less is', () => {
    const report = sampleReport({ rounds: 1, clients: 1, metric: 'test.rmse' });
    assert.ok(resultLines(report).some((line) => line.startsWith('test.rmse (less is better)')));
  });
});
