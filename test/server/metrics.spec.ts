/** What Prometheus is told: after known events, the very lines; and over real HTTP, by a coordinator that has done nothing. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCoordinator } from '../../server/main.js';
import { type Asked, metricsOf } from '../../server/metrics.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { RoundSummary } from '../../shared/run/summary.js';

const RUN = { id: 'cnn-1', workload: 'cnn' };

/** Lines of our own metrics that say something: no comments, no empty buckets but the sum's. */
function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line.startsWith('starling_') && !line.includes('_bucket{'));
}

function roundEnded(summary: Partial<RoundSummary>): RunEvent {
  return { kind: 'round-ended', atMs: 0, summary: summary as RoundSummary };
}

const admin = {
  listClients: async () => [{ online: true }, { online: true }, { online: false }],
  listRuns: async () => [{ status: 'running' }, { status: 'completed' }, { status: 'completed' }],
} as unknown as Asked;

describe('metrics', () => {
  it('count rounds, members dropped by reason, bytes and seconds, and hold epsilon while a run is at work', async () => {
    const metrics = metricsOf(() => admin);
    metrics.heed(RUN, { kind: 'dropped', atMs: 0, round: 1, client: 'tum', reason: 'deadline', detail: '' });
    metrics.heed(RUN, { kind: 'round-aborted', atMs: 0, round: 1, reason: 'too few' });
    metrics.heed(RUN, roundEnded({ durationMs: 1500, overheadMs: 250, bytesUp: 30, bytesDown: 7, epsilon: 0.5 }));
    metrics.heed(RUN, roundEnded({ durationMs: 2500, overheadMs: 250, bytesUp: 12, bytesDown: 7, epsilon: 0.75 }));
    metrics.heed(RUN, { kind: 'arrived', atMs: 0, round: 3, client: 'tum' });
    assert.deepEqual(linesOf(await metrics.text()), [
      'starling_rounds_total{workload="cnn",outcome="aborted"} 1',
      'starling_rounds_total{workload="cnn",outcome="committed"} 2',
      'starling_dropped_total{reason="deadline"} 1',
      'starling_transferred_bytes_total{direction="up"} 42',
      'starling_transferred_bytes_total{direction="down"} 14',
      'starling_round_duration_seconds_sum{workload="cnn"} 4',
      'starling_round_duration_seconds_count{workload="cnn"} 2',
      'starling_round_overhead_seconds_sum{workload="cnn"} 0.5',
      'starling_round_overhead_seconds_count{workload="cnn"} 2',
      'starling_clients{online="yes"} 2',
      'starling_clients{online="no"} 1',
      'starling_runs{status="running"} 1',
      'starling_runs{status="damaged"} 0',
      'starling_runs{status="completed"} 2',
      'starling_run_epsilon{run="cnn-1"} 0.75',
    ]);
    metrics.heed(RUN, { kind: 'ended', atMs: 0, status: 'completed', reason: '' });
    assert.doesNotMatch(await metrics.text(), /^starling_run_epsilon\{/m, 'a run that is over has no series');
  });

  it('are on the health port, with what the process itself uses', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'starling-metrics-'));
    const coordinator = await startCoordinator({ dataDir, listen: '127.0.0.1:0', healthPort: '0', logLevel: 'silent' });
    try {
      const response = await fetch(`http://${coordinator.healthAddress}/metrics`);
      const text = await response.text();
      assert.deepEqual(
        [response.status, response.headers.get('content-type')],
        [200, 'text/plain; version=0.0.4; charset=utf-8'],
      );
      assert.match(text, /^starling_clients\{online="yes"\} 0$/m);
      assert.match(text, /^starling_runs\{status="damaged"\} 0$/m);
      assert.match(text, /^process_open_fds \d+$/m);
    } finally {
      await coordinator.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});
