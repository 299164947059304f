/**
 * What a coordinator tells Prometheus: its clients, its runs, and what became of rounds, by `prom-client`. Counters are of
 * this process and begin anew with it, as Prometheus expects. deploy/monitoring has rules and a board that read them.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { RunEvent } from '../shared/run/events.js';
import type { RoundSummary } from '../shared/run/summary.js';
import type { AdminService } from '../shared/service.js';

/** A registry that is fed by events, and asks when it is asked. */
export interface Metrics {
  /** To be told of each event of a run that is at work, once. */
  heed(run: { readonly id: string; readonly workload: string }, event: RunEvent): void;
  /** In Prometheus' text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** What is asked at each scrape. */
export type Asked = Pick<AdminService, 'listClients' | 'listRuns'>;

/** From a tenth of a second to the hour that a slow lab may take. */
const DURATION_BUCKETS_S = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600];

/** @param admin undefined as long as the coordinator is being started: then there are no gauges of its state */
export function metricsOf(admin: () => Asked | undefined): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const rounds = new Counter({
    name: 'starling_rounds_total',
    help: 'Rounds that were committed, and attempts that were aborted.',
    labelNames: ['workload', 'outcome'],
    registers,
  });
  const dropped = new Counter({
    name: 'starling_dropped_total',
    help: 'Members that a round went on without, by reason.',
    labelNames: ['reason'],
    registers,
  });
  const bytes = new Counter({
    name: 'starling_transferred_bytes_total',
    help: 'Models, updates and frames of committed rounds; up is from clients.',
    labelNames: ['direction'],
    registers,
  });
  const duration = new Histogram({
    name: 'starling_round_duration_seconds',
    help: 'From the plans to the committed model.',
    labelNames: ['workload'],
    buckets: DURATION_BUCKETS_S,
    registers,
  });
  const overhead = new Histogram({
    name: 'starling_round_overhead_seconds',
    help: 'Part of the duration in which no client was working.',
    labelNames: ['workload'],
    buckets: DURATION_BUCKETS_S,
    registers,
  });
  const spent = stateGauges(registry, admin);
  const ended = (run: string, workload: string, summary: RoundSummary) => {
    rounds.inc({ workload, outcome: 'committed' });
    bytes.inc({ direction: 'up' }, summary.bytesUp);
    bytes.inc({ direction: 'down' }, summary.bytesDown);
    duration.observe({ workload }, summary.durationMs / 1000);
    overhead.observe({ workload }, summary.overheadMs / 1000);
    if (summary.epsilon !== undefined) spent.set(run, summary.epsilon);
  };
  return {
    heed({ id, workload }, event) {
      if (event.kind === 'round-ended') ended(id, workload, event.summary);
      else if (event.kind === 'round-aborted') rounds.inc({ workload, outcome: 'aborted' });
      else if (event.kind === 'dropped') dropped.inc({ reason: event.reason });
      else if (event.kind === 'ended') spent.delete(id);
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** Gauges of what is there now; the epsilon of each run that is at work, to be written by whoever hears of it. */
function stateGauges(registry: Registry, admin: () => Asked | undefined): Map<string, number> {
  const registers = [registry];
  const spent = new Map<string, number>();
  new Gauge({
    name: 'starling_clients',
    help: 'Enrolled clients, by whether they are connected.',
    labelNames: ['online'],
    registers,
    async collect() {
      const clients = (await admin()?.listClients()) ?? [];
      const online = clients.filter((client) => client.online).length;
      this.set({ online: 'yes' }, online);
      this.set({ online: 'no' }, clients.length - online);
    },
  });
  new Gauge({
    name: 'starling_runs',
    help: 'Runs that are not archived, by status.',
    labelNames: ['status'],
    registers,
    async collect() {
      this.reset();
      for (const status of ['running', 'damaged']) this.set({ status }, 0);
      for (const { status } of (await admin()?.listRuns()) ?? []) this.inc({ status });
    },
  });
  new Gauge({
    name: 'starling_run_epsilon',
    help: 'What a run at work has cost the client that took part most often, since this process heard of it.',
    labelNames: ['run'],
    registers,
    collect() {
      this.reset();
      for (const [run, epsilon] of spent) this.set({ run }, epsilon);
    },
  });
  return spent;
}
