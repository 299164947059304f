/** `starling bench NAME`: figures of this machine, each with a reference from the same run. */
import type { Command } from 'commander';
import { invalidArgument } from '../../shared/errors.js';
import { command, print, printJson } from './options.js';

const BENCHES: Readonly<Record<string, () => Promise<readonly object[]>>> = {
  aggregation: async () => (await import('../bench/aggregation.js')).benchAggregation(),
  transport: async () => (await import('../bench/transport.js')).benchTransport(),
  'idle-clients': async () => [await (await import('../bench/transport.js')).benchIdle()],
  simulation: async () => (await import('../bench/simulation.js')).benchSimulation(),
  'round-overhead': async () => (await import('../bench/round-overhead.js')).benchRoundOverhead(),
};

export function benchCommand(): Command {
  return command('bench', `measure: ${Object.keys(BENCHES).join(', ')}`, 'starling bench round-overhead')
    .argument('NAME')
    .option('--json', 'print JSON')
    .action(async (name: string, given: { json?: boolean }) => {
      const bench = BENCHES[name];
      if (bench === undefined) throw invalidArgument('bench', `one of ${Object.keys(BENCHES).join(', ')}`, name);
      const rows = await bench();
      if (given.json) return printJson(rows);
      for (const line of table(rows as Record<string, unknown>[])) print(line);
    });
}

/** A column for each key of the first row; numbers to the right. */
function table(rows: readonly Record<string, unknown>[]): string[] {
  const keys = Object.keys(rows[0] ?? {});
  const cells = [keys, ...rows.map((row) => keys.map((key) => format(row[key])))];
  const widths = keys.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const isNumber = keys.map((key) => typeof rows[0]?.[key] === 'number');
  return cells.map((row) =>
    row.map((cell, i) => (isNumber[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join('  '),
  );
}

function format(value: unknown): string {
  if (typeof value !== 'number') return String(value ?? '');
  return Number.isInteger(value) || Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(3);
}
