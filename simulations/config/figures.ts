/**
 * What a run's specification says of its figures: the headline, and how figures are made of sums that are no plain means, so
 * that whoever has the sums has the figures, with or without the workload's code.
 */
import type { Workload } from '../../client/workload.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { type FiguresSpec, figuresSpec } from '../../shared/run/figures.js';
import { type Formula, namesIn } from '../../shared/run/formula.js';
import type { Hyper } from '../../shared/run/spec.js';
import { checkAgainst } from '../../shared/schema.js';
import { recognise } from './recognise.js';

/** What is known of a workload's figures before it has run. */
export interface FiguresOfWorkload {
  readonly spec: FiguresSpec;
  /** Made by code alone: only who has the code can tell them. */
  readonly byCode: readonly string[];
  /** Names that a raw metric has, too. */
  readonly twice: readonly string[];
}

/**
 * @throws FlError invalid-argument: `manifest.figures` gives what is no formula, reads a metric that is not declared, or has
 *   the name of one that is
 */
export function figuresOfWorkload({ manifest, finish }: Workload, hyper: Hyper): FiguresOfWorkload {
  const declared = manifest.maskedMetrics?.(hyper) ?? [];
  const given = manifest.figures?.(hyper) ?? {};
  const { name, headline } = manifest;
  checkAgainst(figuresSpec, { formulas: given }, `workload ${name}: manifest.figures`);
  const isDeclared = (metric: string) => declared.some((one) => one.name === metric);
  for (const [figure, formula] of Object.entries(given)) {
    if (isDeclared(figure)) throw twiceError(name, figure);
    const unknown = declared.length === 0 ? undefined : namesIn(formula).find((metric) => !isDeclared(metric));
    if (unknown === undefined) continue;
    const metrics = declared.map((one) => one.name).join(', ');
    throw invalidArgument(
      `workload ${name}: manifest.figures ${figure}`,
      `metrics of maskedMetrics (${metrics})`,
      unknown,
    );
  }
  const found = finish === undefined ? { names: [], formulas: {} } : recognise(finish, declared);
  const formulas: Record<string, Formula> = { ...found.formulas, ...given };
  return {
    spec: { headline, ...(Object.keys(formulas).length > 0 && { formulas }) },
    byCode: found.names.filter((figure) => !Object.hasOwn(formulas, figure)),
    twice: found.names.filter(isDeclared),
  };
}

/** One name, two figures: whoever reads it has no way to tell which. */
export function twiceError(workload: string, figure: string): FlError {
  const got = 'a raw metric of metrics() and a figure of finish() or manifest.figures';
  return new FlError(
    'invalid-argument',
    `workload ${workload}: figure ${figure}: expected one figure of this name, got ${got}: rename one of the two`,
  );
}

/** What an operator is told of figures before a run begins: those that no coordinator can make. */
export function byCodeWords({ byCode, spec }: FiguresOfWorkload): string[] {
  if (byCode.length === 0) return [];
  const headline = spec.headline?.metric ?? '';
  const isHeadline = byCode.some((name) => headline === `test.${name}`);
  const names = byCode.map((name) => `test.${name}`).join(', ');
  return [
    `${names}: made by finish() in a way that the specification cannot carry, so no deployed run shows ` +
      `${isHeadline ? 'this headline' : 'it'}: say it as a formula in manifest.figures`,
  ];
}

/** What the user of a simulation is told first of a name that has two figures; a deployed run is refused. */
export function twiceWords({ manifest: { name, headline } }: Workload, { twice }: FiguresOfWorkload): string[] {
  return twice.map((figure) => {
    const which = headline.metric === `test.${figure}` ? `the headline, test.${figure}, is` : `test.${figure} is`;
    return (
      `WARNING  workload ${name} has two figures of the name ${figure}: the mean of a metric of metrics(), and what finish() gives. ` +
      `Here ${which} what finish() gives, and the mean is shown nowhere: rename one of the two; starling run start refuses this workload`
    );
  });
}
