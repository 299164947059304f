/** What a page says beside its first table: who loses by taking part, and how the reference rows came by their settings. */
import type { Manifest } from '../../client/workload.js';
import { formatNumber, NONE } from '../../server/report/format.js';
import { formatMetric, readable } from '../../server/report/metrics.js';
import { headlineIn, metricIn } from './compare.js';
import { table, text } from './markdown.js';
import type { Results, RowResult, SeedResult } from './results.js';

/** How many clients are worse off on their own test data than alone; empty where nobody sees single clients. */
export function losers(manifest: Manifest, results: Results): string[] {
  const metric = metricIn(manifest.ownMetric ?? headlineIn(manifest, results), results);
  const sign = manifest.headline.better === 'higher' ? 1 : -1;
  const each = results.seeds.map((seed) => {
    const [alone, federated] = (['local', 'federated'] as const).map((name) => eachOf(seed, name));
    const both = Object.keys(alone).filter((client) => {
      return [alone, federated].every((row) => row[client]?.[metric] !== undefined);
    });
    const lost = both.filter((client) => sign * federated[client][metric] < sign * alone[client][metric]);
    return { seed: seed.seed, clients: both.length, lost: lost.length };
  });
  if (each.every(({ clients }) => clients === 0)) return [];
  const found = each.map(({ seed, clients, lost }) => `${lost} of ${clients} with seed ${seed}`).join(', ');
  return [
    `Clients that the federation makes worse on their own test data (${readable(metric)}), against alone: ${found}.`,
  ];
}

function eachOf({ rows }: SeedResult, name: RowResult['name']): NonNullable<RowResult['each']> {
  return rows.find((row) => row.name === name)?.each ?? {};
}

/** The grid of each reference row, what was chosen, where it was stopped and what it cost. */
export function references({ seeds }: Results): string[] {
  const lines = seeds.flatMap(({ seed, rows }) =>
    rows.flatMap(({ name, label, tuned, work }) => {
      if (tuned === undefined || name === 'local-best') return [];
      const { grid, scores, clientLr, metric, stoppedAt, budgetRounds } = tuned;
      const tried = grid.map((rate, i) => {
        const score = scores[i];
        return `${formatNumber(rate)}: ${score === null ? 'diverged' : formatMetric(metric, score)}`;
      });
      const rounds = Object.values(stoppedAt);
      const stopped = [...new Set([Math.min(...rounds), Math.max(...rounds)])].join(' to ');
      const duration = `${work?.localSteps ?? work?.localEpochs ?? NONE} ${work?.localSteps ? 'steps' : 'epochs'}`;
      return [
        [
          text(label),
          `${seed}`,
          text(tried.join(', ')),
          formatNumber(clientLr),
          stopped,
          `${budgetRounds} of ${duration}`,
        ],
      ];
    }),
  );
  if (lines.length === 0) return [];
  const [{ rows }] = seeds;
  const tuned = rows.find((row) => row.tuned !== undefined)?.tuned;
  const how = `Rates were tried with seed ${tuned?.seed}, which reports nothing, and judged by ${readable(tuned?.metric ?? '')}; a model is that of the round that was best by it.`;
  const head = ['reference row', 'seed', 'rates tried', 'chosen', 'round taken', 'rounds trained, trials included'];
  return ['## How the reference rows were tuned', how, table(head, lines, [3, 4])];
}
