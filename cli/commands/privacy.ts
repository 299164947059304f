/** `starling privacy`: what a noise costs, what noise a budget needs, and what attacks prove (privacy-audit.ts). */
import { type Command, Option } from 'commander';
import { invalidArgument } from '../../shared/errors.js';
import { command, integer, number, print, printJson } from './options.js';
import { privacyAuditCommand } from './privacy-audit.js';

interface Given {
  readonly noiseMultiplier: number;
  readonly epsilon: number;
  readonly samplingRate: number;
  readonly steps: number;
  readonly delta: number;
  readonly accountant: 'rdp' | 'pld';
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
  const { noiseMultiplier, samplingRate, steps, delta, accountant } = given;
  if (!(noiseMultiplier > 0)) throw invalidArgument('noise-multiplier', 'a number above 0', noiseMultiplier);
  const { privacyEpsilon } = await import('../../shared/privacy/index.js');
  const epsilon = privacyEpsilon({ noiseMultiplier, samplingRate, steps, delta, accountant });
  if (given.json) return printJson({ epsilon, delta, noiseMultiplier, samplingRate, steps, accountant });
  print(`epsilon ${digits(epsilon)} at delta ${delta} (${accountant})`);
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
  if (!(steps >= 1)) throw invalidArgument('steps', 'an integer above 0', steps);
  if (!(delta > 0 && delta < 1)) throw invalidArgument('delta', 'in (0, 1)', delta);
}

/** Up, never down, in the fifth digit: a figure that is read here must not promise too much. */
function digits(value: number): string {
  const shown = Number(value.toPrecision(5));
  if (shown >= value) return String(shown);
  const ulp = 10 ** (Math.floor(Math.log10(value)) - 4);
  return String(Number((shown + ulp).toPrecision(5)));
}
