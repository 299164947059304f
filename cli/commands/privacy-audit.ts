/** `starling privacy audit`: what attacks prove of a training run, beside what the accountant promises. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { AuditOptions, AuditReport } from '../../simulations/audit/audit.js';
import { command, integer, number, print, printJson } from './options.js';

interface Given extends Omit<AuditOptions, 'quick' | 'workload'> {
  readonly quick?: boolean;
  readonly out?: string;
  readonly json?: boolean;
}

const WORKLOAD = 'cnn';

/** Fails when an attack has proved more than was promised. */
export function privacyAuditCommand(): Command {
  return command('audit', 'what attacks prove of a training run', 'starling privacy audit --out audit')
    .option('--noise-multiplier <Z>', 'deviation of the noise over the clipping bound', number, 1.7)
    .option('--sampling-rate <Q>', 'probability that an example takes part in a step', number, 0.25)
    .option('--steps <T>', 'how many steps', integer, 100)
    .option('--delta <D>', 'the chance that the guarantee does not hold', number, 1e-5)
    .option('--confidence <C>', 'of each bound that an attack proves', number, 0.95)
    .option('--seed <N>', 'of canaries, model and noise', integer, 1)
    .option('--quick', 'a small model on drawn digits, in seconds')
    .option('--out <DIR>', 'write audit.json and audit.svg there')
    .option('--json', 'print JSON')
    .action(auditAction);
}

/** @throws FlError failed-precondition, after printing, if an attack proved more than the accountant allows */
async function auditAction({ out, json, quick = false, ...given }: Given): Promise<void> {
  check(given);
  const { auditPrivacy } = await import('../../simulations/audit/audit.js');
  const report = await auditPrivacy({ ...given, quick, workload: WORKLOAD });
  if (json) printJson(report);
  else print(await describeAudit(report));
  if (out !== undefined) {
    const { auditPicture } = await import('../../simulations/audit/picture.js');
    await mkdir(out, { recursive: true });
    await writeFile(join(out, 'audit.json'), `${JSON.stringify(report, null, 2)}\n`);
    await writeFile(join(out, 'audit.svg'), auditPicture(report));
    if (!json) print(`\npicture  ${join(out, 'audit.svg')}`);
  }
  if (report.refuted) {
    const most = Math.round(100 * report.settings[0].bounds.length * (1 - given.confidence));
    const chance = `by chance this happens in at most ${most} of 100 audits`;
    throw new FlError('failed-precondition', `an attack proved a larger epsilon than the accountant allows; ${chance}`);
  }
}

async function describeAudit({ counts, settings, workload, confidence, delta }: AuditReport): Promise<string> {
  const { figure } = await import('../../simulations/audit/picture.js');
  const { gradientCanaries, mislabelledImages, ordinaryImages } = counts;
  const width = 44;
  const row = (label: string, cells: readonly string[]) =>
    label.padEnd(width) + cells.map((cell) => cell.padStart(20)).join('');
  const attacks = settings[0].bounds.map(({ attack }, i) =>
    row(
      `  ${attack}`,
      settings.map(({ bounds }) => {
        const { epsilonAtLeast, auc } = bounds[i];
        return figure(epsilonAtLeast) + (auc === undefined ? '' : `  AUC ${auc.toFixed(2)}`);
      }),
    ),
  );
  const promised = settings.map(({ epsilonAtMost }) => (epsilonAtMost === null ? 'no bound' : figure(epsilonAtMost)));
  return [
    `${workload}: ${gradientCanaries} gradient canaries, ${mislabelledImages} mislabelled and ${ordinaryImages} ordinary images,`,
    `each in the training data or not by a coin; ${100 * confidence} % confidence, delta ${delta}`,
    '',
    row(
      'epsilon',
      settings.map(({ name }) => name),
    ),
    row('is at most, by the accountant', promised),
    'is at least, by attacks on',
    ...attacks,
    row(
      'test accuracy',
      settings.map(({ testAccuracy }) => `${(100 * testAccuracy).toFixed(1)} %`),
    ),
  ].join('\n');
}

function check({ noiseMultiplier, samplingRate, steps, delta, confidence }: Omit<Given, 'quick'>): void {
  if (!(noiseMultiplier > 0)) throw invalidArgument('noise-multiplier', 'a number above 0', noiseMultiplier);
  if (!(samplingRate > 0 && samplingRate <= 1)) throw invalidArgument('sampling-rate', 'in (0, 1]', samplingRate);
  if (!(steps >= 1)) throw invalidArgument('steps', 'an integer above 0', steps);
  if (!(delta > 0 && delta < 1)) throw invalidArgument('delta', 'in (0, 1)', delta);
  if (!(confidence > 0 && confidence < 1)) throw invalidArgument('confidence', 'in (0, 1)', confidence);
}
