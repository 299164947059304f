/** `starling bench NAME`: figures of this machine, each with a reference from the same run. */
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import { invalidArgument } from '../../shared/errors.js';
import { VERSION } from '../../shared/version.js';
import { command, integer, print, printJson } from './options.js';

interface Bench {
  /** What trains, where something does. */
  readonly backend?: string;
  readonly run: (options: BenchOptions) => Promise<readonly object[]>;
}

interface BenchOptions {
  readonly json?: boolean;
  readonly dp?: boolean;
  readonly idle?: number;
  readonly active?: number;
}

const BENCHES: Readonly<Record<string, Bench>> = {
  aggregation: { run: async () => (await import('../../simulations/bench/aggregation.js')).benchAggregation() },
  secagg: { run: async () => (await import('../../simulations/bench/secagg-table.js')).secaggTable() },
  'secure-simulation': {
    run: async () => (await import('../../simulations/bench/secure-simulation.js')).benchSecureSimulation(),
  },
  transport: { run: async () => (await import('../../simulations/bench/transport.js')).benchTransport() },
  'round-overhead': {
    run: async () => (await import('../../simulations/bench/round-overhead.js')).benchRoundOverhead(),
  },
  tls: { run: async ({ idle, active }) => (await import('../../simulations/bench/tls.js')).benchTls({ idle, active }) },
  'idle-clients': { run: async () => [await (await import('../../simulations/bench/transport.js')).benchIdle()] },
  backends: {
    run: async ({ dp }) => {
      const bench = await import('../../simulations/bench/backends.js');
      return dp ? bench.benchPrivateSteps() : bench.benchBackends();
    },
  },
  simulation: {
    backend: 'wasm',
    run: async () => (await import('../../simulations/bench/simulation.js')).benchSimulation(),
  },
};

/** Each bench prints one table, or JSON. */
export function benchCommand(): Command {
  return command('bench', `measure: ${Object.keys(BENCHES).join(', ')}`, 'starling bench round-overhead')
    .argument('NAME')
    .option('--json', 'print JSON')
    .option('--dp', 'backends: what clipping the gradient of each example and adding noise cost')
    .option('--idle <N>', 'tls: clients that are connected and in no round (default: 2000)', count)
    .option('--active <N>', 'tls: clients in each round (default: 300)', count)
    .action(async (name: string, given: BenchOptions) => {
      if (!Object.hasOwn(BENCHES, name))
        throw invalidArgument('bench', `one of ${Object.keys(BENCHES).join(', ')}`, name);
      const bench = BENCHES[name];
      if (given.dp && name !== 'backends') throw invalidArgument('--dp', 'bench backends', name);
      for (const option of ['idle', 'active'] as const) {
        if (given[option] !== undefined && name !== 'tls') throw invalidArgument(`--${option}`, 'bench tls', name);
      }
      if (given.active === 0) throw invalidArgument('--active', 'at least 1', 0);
      const load = loadavg()[0];
      const rows = (await bench.run(given)) as readonly Record<string, unknown>[];
      if (given.json) return printJson(rows);
      print(machineLine(bench, load));
      for (const line of table(rows)) print(line);
    });
}

/** @throws InvalidArgumentError */
function count(text: string): number {
  const value = integer(text);
  if (value < 0 || value > 10_000) throw new InvalidArgumentError('expected 0 to 10000.');
  return value;
}

/** Without it a figure says nothing. `load` is that of the minute before. */
function machineLine({ backend }: Bench, load: number): string {
  const gibibytes = (totalmem() / 2 ** 30).toFixed(0);
  const machine = `${cpus()[0]?.model.trim() ?? process.arch}, ${availableParallelism()} cores, ${gibibytes} GiB`;
  const programs = `Node ${process.versions.node}, starling ${VERSION}${backend === undefined ? '' : `, back end ${backend}`}`;
  return `${machine}; ${programs}; load ${load.toFixed(1)} before\n`;
}

/** A column for each plain key of the first row; numbers to the right. What has parts of its own is in the JSON only. */
function table(rows: readonly Record<string, unknown>[]): string[] {
  const [first = {}] = rows;
  const keys = Object.keys(first).filter((key) => typeof first[key] !== 'object');
  const cells = [keys, ...rows.map((row) => keys.map((key) => format(row[key])))];
  const widths = keys.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const isNumber = keys.map((key) => typeof first[key] === 'number');
  return cells.map((row) =>
    row
      .map((cell, i) => (isNumber[i] ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd(),
  );
}

/** Three digits that count, and no more than the whole number. */
function format(value: unknown): string {
  if (typeof value !== 'number') return String(value ?? '');
  if (Number.isInteger(value) || Math.abs(value) >= 100)
    return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
  return value.toPrecision(3);
}
