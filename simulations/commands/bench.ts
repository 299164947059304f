/** `starling bench NAME`: figures of this machine, each with a reference from the same run. */
import { Command } from 'commander';
import { invalidArgument } from '../../shared/errors.js';
import type { BenchRow } from '../bench/row.js';
import { command, print, printJson } from './options.js';

const BENCHES: Readonly<Record<string, () => Promise<readonly BenchRow[]>>> = {
  aggregation: async () => (await import('../bench/aggregation.js')).benchAggregation(),
  transport: async () => (await import('../bench/transport.js')).benchTransport(),
  'idle-clients': async () => (await import('../bench/idle.js')).benchIdle(),
  'round-overhead': async () => (await import('../bench/round-overhead.js')).benchRoundOverhead(),
  simulation: async () => (await import('../bench/simulation.js')).benchSimulation(),
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
      const width = Math.max(...rows.map((row) => row.name.length));
      for (const { name, value, unit } of rows) print(`${name.padEnd(width)}  ${format(value).padStart(12)} ${unit}`);
    });
}

function format(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
