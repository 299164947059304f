/** `starling client policy init` and `check`: a site's policy begun, and held against a run before it is one. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { policyHelp, policyText, readPolicy } from '../../client/policy/file.js';
import type { Answer } from '../../client/policy/site.js';
import { systemClock } from '../../shared/clock.js';
import { clientsDir } from '../../shared/disk/home.js';
import { FlError } from '../../shared/errors.js';
import { checkPlan, type RoundPlan } from '../../shared/run/plan.js';
import { readYaml } from '../../simulations/config/yaml.js';
import { asWrongUse, command, exampleText, print, printJson, repeated } from './options.js';

interface CheckOptions {
  readonly policy?: string;
  readonly name?: string;
  readonly workload: string[];
  readonly json?: boolean;
}

/** `starling client policy` with its subcommands; its help lists the keys. */
export function clientPolicyCommand(): Command {
  const init = command('init', 'write a policy with every key explained', 'starling client policy init')
    .argument('[FILE]', 'where', 'policy.yaml')
    .action(async (file: string) => {
      await writeFile(file, policyText(), { flag: 'wx' }).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'EEXIST') throw cause;
        throw new FlError(
          'failed-precondition',
          `${file}: expected no such file, got one; a policy is not overwritten`,
        );
      });
      print(`${file}: now starling client run --policy ${file}`);
    });
  const check = command(
    'check',
    'say what would become of a run here, key by key',
    'starling client policy check run.yaml',
  )
    .argument('PLAN', "an operator's CONFIG.yaml, or one round's plan as JSON")
    .option('--policy <FILE>', 'which policy (default: what holds without one)')
    .option('--name <NAME>', 'as this client: its account and the runs it has begun count')
    .option('--workload <FILE>', 'a workload of your own, besides the built-in ones; repeatable', repeated, [])
    .option('--json', 'print JSON')
    .action(checkAction);
  return new Command('policy')
    .description('what this site allows')
    .addHelpText('after', `\nKeys of policy.yaml:\n${policyHelp()}`)
    .addHelpText('after', exampleText('starling client policy check run.yaml --policy policy.yaml'))
    .addCommand(init)
    .addCommand(check);
}

async function checkAction(file: string, given: CheckOptions): Promise<void> {
  const { ledgerModelsOf, siteAnswersOf } = await import('../../client/policy/site.js');
  const { declineText, POLICY_DEFAULTS, priceDeclineReasonOf } = await import('../../client/round/policy.js');
  const { loadWorkload } = await import('../../client/workloads/index.js');
  const { readBegunRuns } = await import('../../client/store/begun-runs.js');
  const policy = given.policy === undefined ? POLICY_DEFAULTS : await readPolicy(given.policy);
  const workloadModules: Record<string, string> = {};
  for (const path of given.workload) workloadModules[(await loadWorkload(path).catch(asWrongUse)).manifest.name] = path;
  const plan = await planOf(file);
  const unpriced = priceDeclineReasonOf(plan);
  if (unpriced !== undefined) throw new FlError('permission-denied', `declined: ${unpriced}`);
  const answers = await siteAnswersOf(policy, plan, {
    workloadModules,
    ledgerModels: await ledgerModelsOf(policy, given.policy),
    begun: given.name === undefined ? [] : await readBegunRuns(join(clientsDir(), given.name)),
    clock: systemClock,
  });
  if (given.json) printJson(answers);
  else for (const line of table(answers)) print(line);
  const forbidden = answers.find(({ ok }) => !ok);
  if (forbidden !== undefined)
    throw new FlError('permission-denied', `declined: ${declineText(forbidden.key, forbidden)}`);
  if (!given.json) print('a client with this policy follows it');
}

/** The plan of the first round of a run that `starling run start` would start, or the plan that the file is. */
async function planOf(file: string): Promise<RoundPlan> {
  const value = await readYaml(file); // JSON is YAML
  if ('work' in value) {
    checkPlan(value);
    return value;
  }
  const { resolveForLabs } = await import('../../simulations/config/for-labs.js');
  const { firstPlanOf } = await import('../../simulations/config/first-plan.js');
  return firstPlanOf(await resolveForLabs(value, file).catch(asWrongUse));
}

function table(answers: readonly Answer[]): string[] {
  const width = Math.max(...answers.map(({ key }) => key.length));
  return answers.map(({ key, ok, expected, got }) => {
    return `${key.padEnd(width)}  ${ok ? 'allows  ' : 'declines'}  expected ${expected}, got ${got}`;
  });
}
