/** `starling privacy audit`: what attacks prove of each privacy mode, beside what the accountant promises. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { AuditOptions, AuditReport, AuditSetting, PrivacyMode } from '../../simulations/audit/report.js';
import { command, integer, number, print, printJson } from './options.js';

interface Given extends Omit<AuditOptions, 'quick' | 'workload' | 'modes'> {
  readonly privacy: PrivacyMode | 'all';
  readonly quick?: boolean;
  readonly out?: string;
  readonly json?: boolean;
}

const WORKLOAD = 'cnn';
const MODES: readonly PrivacyMode[] = ['example', 'central', 'distributed', 'local'];

/** Fails when an attack has proved more than was promised, or a contribution was found that is not clipped. */
export function privacyAuditCommand(): Command {
  return command('audit', 'what attacks prove of each privacy mode', 'starling privacy audit --out audit')
    .addOption(new Option('--privacy <MODE>', 'the mode to attack').choices([...MODES, 'all']).default('all'))
    .option('--noise-multiplier <Z>', 'deviation of the noise over the clipping bound', number, 1.7)
    .option('--sampling-rate <Q>', 'mode example: probability that an example takes part in a step', number, 0.25)
    .option('--steps <T>', 'mode example: how many steps', integer, 100)
    .option('--rounds <T>', 'the other modes: how many rounds', integer, 4)
    .option('--delta <D>', 'the chance that the guarantee does not hold', number, 1e-5)
    .option('--confidence <C>', 'of each bound that an attack proves', number, 0.95)
    .option('--seed <N>', 'of canaries, model and noise', integer, 1)
    .option('--quick', 'fewer canaries and a small model on drawn digits, in seconds')
    .option('--out <DIR>', 'write audit.json and audit.svg there')
    .option('--json', 'print JSON')
    .action(auditAction);
}

/** @throws FlError failed-precondition, after printing, if something is not as promised */
async function auditAction({ out, json, quick = false, privacy, ...given }: Given): Promise<void> {
  check(given);
  const { auditPrivacy } = await import('../../simulations/audit/audit.js');
  const modes = privacy === 'all' ? MODES : [privacy];
  const report = await auditPrivacy({ ...given, modes, quick, workload: WORKLOAD });
  if (json) printJson(report);
  else print(await describeAudit(report));
  if (out !== undefined) {
    const { auditPicture } = await import('../../simulations/audit/picture.js');
    await mkdir(out, { recursive: true });
    await writeFile(join(out, 'audit.json'), `${JSON.stringify(report, null, 2)}\n`);
    await writeFile(join(out, 'audit.svg'), auditPicture(report));
    if (!json) print(`\npicture  ${join(out, 'audit.svg')}`);
  }
  if (report.refuted.length > 0) {
    const bounds = report.settings.flatMap((setting) => (setting.epsilonAtMost === null ? [] : setting.bounds)).length;
    const most = Math.min(100, Math.round(100 * bounds * (1 - given.confidence)));
    const chance = `by chance an attack proves too much in at most ${most} of 100 audits; try another --seed`;
    throw new FlError('failed-precondition', `privacy is not as promised: ${report.refuted.join('; ')}; ${chance}`);
  }
}

const WIDTHS = [28, 14, 18, 22];

async function describeAudit({ settings, workload, confidence, delta }: AuditReport): Promise<string> {
  const { figure } = await import('../../simulations/audit/picture.js');
  const row = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[0]) : cell.padStart(WIDTHS[i]))).join('');
  const summary = settings.map(({ name, epsilonAtMost, bounds, largestContribution }) =>
    row([
      name,
      epsilonAtMost === null ? 'no bound' : figure(epsilonAtMost),
      figure(Math.max(...bounds.map(({ epsilonAtLeast }) => epsilonAtLeast))),
      largestContribution === null ? 'not clipped' : largestContribution.toFixed(4),
    ]),
  );
  return [
    `${workload}: canaries, images and clients that are in or not by a coin; ${100 * confidence} % confidence, delta ${delta}`,
    '',
    row(['mode', 'claimed ε', 'proven ε at least', 'max |contribution|/C']),
    ...summary,
    ...settings.flatMap((setting) => ['', ...describeSetting(setting, figure)]),
  ].join('\n');
}

function describeSetting({ name, bounds, testAccuracy }: AuditSetting, figure: (epsilon: number) => string): string[] {
  const row = (label: string, cell: string) => `  ${label.padEnd(44)}${cell.padStart(8)}`;
  return [
    `${name}: ε is at least, by attacks on`,
    ...bounds.map(
      ({ attack, epsilonAtLeast, auc }) =>
        row(attack, figure(epsilonAtLeast)) + (auc === undefined ? '' : `  AUC ${auc.toFixed(2)}`),
    ),
    ...(testAccuracy === null ? [] : [row('test accuracy', `${(100 * testAccuracy).toFixed(1)} %`)]),
  ];
}

function check({ noiseMultiplier, samplingRate, steps, rounds, delta, confidence }: Omit<Given, 'privacy'>): void {
  if (!(noiseMultiplier > 0)) throw invalidArgument('noise-multiplier', 'a number above 0', noiseMultiplier);
  if (!(samplingRate > 0 && samplingRate <= 1)) throw invalidArgument('sampling-rate', 'in (0, 1]', samplingRate);
  if (!(steps >= 1)) throw invalidArgument('steps', 'an integer above 0', steps);
  if (!(rounds >= 1)) throw invalidArgument('rounds', 'an integer above 0', rounds);
  if (!(delta > 0 && delta < 1)) throw invalidArgument('delta', 'in (0, 1)', delta);
  if (!(confidence > 0 && confidence < 1)) throw invalidArgument('confidence', 'in (0, 1)', confidence);
}
