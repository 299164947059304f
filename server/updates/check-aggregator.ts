/** What must hold for a run to be aggregated as it says; asked before it begins. */
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { parseAggregator } from './aggregator.js';
import { LEAST_VALUES } from './order-statistics.js';

/** Order statistics need every value at once: so many bytes of them may lie in memory. */
const MAX_KEPT_BYTES = 2 ** 30;

/**
 * Whether a run can be aggregated as it says.
 * @throws FlError invalid-argument, with the reason
 */
export function checkAggregator({ work, engine }: RunSpec): void {
  const { name, statistic } = parseAggregator(engine.aggregator);
  const groupSize = work.secure?.groupSize;
  const values = groupSize === undefined ? engine.cohort : Math.floor(engine.cohort / groupSize);
  if (statistic === undefined && groupSize === undefined) return;
  checkMemory(work.model, groupSize === undefined ? Math.ceil(values * (1 + engine.overSelection)) : values);
  if (statistic === undefined) return;
  if (work.secure !== undefined && groupSize === undefined) {
    const expected =
      'mean with secure-aggregation, which hides the single updates of an order statistic; or secure-groups';
    throw invalidArgument('aggregator', expected, name);
  }
  const channels = work.phases.flatMap((phase) => phase.channels);
  const summed = channels.find(({ reduce }) => reduce === 'sum');
  if (summed !== undefined) {
    throw new FlError('invalid-argument', `aggregator: ${name} is no sum, which channel "${summed.name}" asks for`);
  }
  const perTensor = channels.find(({ weight }) => weight === 'per-tensor');
  if (perTensor !== undefined) {
    const why = `channel "${perTensor.name}" has clients that do not hold every tensor`;
    throw new FlError('invalid-argument', `aggregator: ${name} needs a value of every client: ${why}`);
  }
  if (groupSize !== undefined && values < LEAST_VALUES) {
    const got = `${values} (cohort ${engine.cohort} in groups of ${groupSize})`;
    throw invalidArgument(`groups for aggregator ${name}`, `at least ${LEAST_VALUES}`, got);
  }
  if (groupSize === undefined && engine.minSurvivors < LEAST_VALUES) {
    throw invalidArgument(`minSurvivors with aggregator ${name}`, `at least ${LEAST_VALUES}`, engine.minSurvivors);
  }
}

function checkMemory(model: RunSpec['work']['model'], vectors: number): void {
  const elements = model.reduce((sum, { shape }) => sum + shape.reduce((size, axis) => size * axis, 1), 0);
  const keptBytes = 4 * elements * vectors;
  if (keptBytes <= MAX_KEPT_BYTES) return;
  throw new FlError(
    'invalid-argument',
    `aggregator: ${vectors} vectors of ${elements} numbers are ${keptBytes} bytes in memory; at most ${MAX_KEPT_BYTES}`,
  );
}
