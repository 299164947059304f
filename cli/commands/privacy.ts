/** `starling privacy`: what a noise costs, what noise a budget needs, and what attacks prove (privacy-audit.ts). */
import { type Command, Option } from 'commander';
import { invalidArgument } from '../../shared/errors.js';
import { checkNoise, checkRate, MOST_STEPS } from '../../shared/privacy/accounting/limits.js';
import { command, integer, number, print, printJson } from './options.js';
import { privacyAuditCommand } from './privacy-audit.js';

interface Given {
  readonly noiseMultiplier: number;
  readonly epsilon: number;
  readonly samplingRate: number;
  readonly steps: number;
  readonly delta: number;
  readonly accountant: 'rdp' | 'pld';
  readonly group: number;
  readonly json?: boolean;
}

const NOISE_EXAMPLE = 'starling privacy noise --epsilon 2 --delta 1e-5 --sampling-rate 0.01 --steps 20000';

/** `starling privacy` with `epsilon`, `noise` and `audit`. */
export function privacyCommand(): Command {
  const epsilon = run(
    'epsilon',
    'what a run of noisy steps costs',
    'starling privacy epsilon --noise-multiplier 1.1 --sampling-rate 0.01 --steps 20000 --delta 1e-5',
  )
    .requiredOption('--noise-multiplier <Z>', 'deviation of the noise over the clipping bound', number)
    .option('--group <K>', 'what it costs so many units together, too', integer, 1)
    .action(epsilonAction);
  const noise = run('noise', 'the least noise that keeps a run within a budget', NOISE_EXAMPLE)
    .requiredOption('--epsilon <E>', 'the budget', number)
    .action(noiseAction);
  return command('privacy', 'what a run costs in (epsilon, delta)', NOISE_EXAMPLE)
    .addCommand(epsilon)
    .addCommand(noise)
    .addCommand(privacyAuditCommand());
}

function run(name: string, description: string, example: string): Command {
  return command(name, description, example)
    .requiredOption(
      '--sampling-rate <Q>',
      'probability that a unit takes part in a step, drawn anew and in secret',
      number,
    )
    .requiredOption('--steps <T>', 'how many steps', integer)
    .requiredOption('--delta <D>', 'the chance that the guarantee does not hold', number)
    .addOption(new Option('--accountant <NAME>', 'how it is composed').choices(['rdp', 'pld']).default('pld'))
    .option('--json', 'print JSON');
}

async function epsilonAction(given: Given): Promise<void> {
  check(given);
  const { noiseMultiplier, samplingRate, steps, delta, accountant, group: size } = given;
  if (!(noiseMultiplier > 0)) throw invalidArgument('noise-multiplier', 'a number above 0', noiseMultiplier);
  checkNoise(noiseMultiplier, 'noise-multiplier');
  if (!(size >= 1)) throw invalidArgument('group', 'an integer above 0', size);
  const { groupPrivacy, privacyEpsilon } = await import('../../shared/privacy/index.js');
  const epsilon = privacyEpsilon({ noiseMultiplier, samplingRate, steps, delta, accountant });
  const group = size === 1 ? undefined : { size, ...groupPrivacy({ epsilon, delta, size }) };
  if (given.json) {
    return printJson({ epsilon, delta, noiseMultiplier, samplingRate, steps, accountant, ...(group && { group }) });
  }
  print(`epsilon ${digits(epsilon)} at delta ${delta} (${accountant})`);
  if (group) print(`a group of ${size}: epsilon ${digits(group.epsilon)} at delta ${digits(group.delta)}`);
}

async function noiseAction(given: Given): Promise<void> {
  check(given);
  const { epsilon, samplingRate, steps, delta, accountant } = given;
  if (!(epsilon > 0)) throw invalidArgument('epsilon', 'a number above 0', epsilon);
  const { privacyNoise } = await import('../../shared/privacy/index.js');
  const noiseMultiplier = privacyNoise({ epsilon, samplingRate, steps, delta, accountant });
  if (given.json) return printJson({ noiseMultiplier, epsilon, delta, samplingRate, steps, accountant });
  print(`noise multiplier ${digits(noiseMultiplier)} for epsilon ${epsilon} at delta ${delta} (${accountant})`);
}

function check({ samplingRate, steps, delta }: Given): void {
  if (!(samplingRate > 0 && samplingRate <= 1)) throw invalidArgument('sampling-rate', 'in (0, 1]', samplingRate);
  checkRate(samplingRate, 'sampling-rate');
  if (!(steps >= 1)) throw invalidArgument('steps', 'an integer above 0', steps);
  if (steps > MOST_STEPS) throw invalidArgument('steps', `at most ${MOST_STEPS}`, steps);
  if (!(delta > 0 && delta < 1)) throw invalidArgument('delta', 'in (0, 1)', delta);
}

/** Up, never down, in the fifth digit: a figure that is read here must not promise too much. */
function digits(value: number): string {
  const shown = Number(value.toPrecision(5));
  if (shown >= value) return String(shown);
  const ulp = 10 ** (Math.floor(Math.log10(value)) - 4);
  return String(Number((shown + ulp).toPrecision(5)));
}
