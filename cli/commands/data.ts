/** `starling data list | get | check` and `starling workloads`. */
import type { Command } from 'commander';
import type { Manifest } from '../../client/workload.js';
import { asWrongUse, command, print, printJson } from './options.js';

/** `starling data`: what there is, and fetching it. */
export function dataCommand(): Command {
  const list = command('list', 'data sets, and which of them are here', 'starling data list')
    .option('--json', 'print JSON')
    .action(async (given: { json?: boolean }) => void (await showStatus(false, given.json)));
  const check = command('check', 'compare the hashes of all files that are here', 'starling data check')
    .option('--json', 'print JSON')
    .action(async (given: { json?: boolean }) => {
      if (await showStatus(true, given.json)) process.exitCode = 1;
    });
  const get = command('get', 'download a data set from its official source', 'starling data get tinyshakespeare')
    .argument('NAME')
    .action(async (name: string) => {
      const { getData } = await import('../../client/data/index.js');
      const onFile = (file: { name: string; sizeBytes: number }) => print(`${file.name} (${file.sizeBytes} bytes)`);
      const folder = await getData(name, { onFile }).catch(asWrongUse);
      print(`${name} is in ${folder}`);
    });
  return [list, get, check].reduce(
    (all, one) => all.addCommand(one),
    command('data', 'data sets', 'starling data list'),
  );
}

/** Returns whether a file has a wrong hash. */
async function showStatus(verify: boolean, json?: boolean): Promise<boolean> {
  const { dataStatus } = await import('../../client/data/index.js');
  const statuses = await dataStatus({ verify });
  if (json) printJson(statuses.map(({ set, ...rest }) => ({ name: set.name, licence: set.licence, ...rest })));
  else
    for (const { set, state, folder, detail } of statuses) {
      print(
        `${set.name.padEnd(20)} ${(state === 'unchecked' ? 'here' : state).padEnd(8)} ${detail || folder}  [${set.licence}]`,
      );
    }
  return statuses.some(({ state }) => state === 'corrupt');
}

/** `starling workloads`: all, or one. */
export function workloadsCommand(): Command {
  return command('workloads', 'list the workloads, or tell about one', 'starling workloads cnn')
    .argument('[NAME]', 'a built-in workload or a file')
    .option('--json', 'print JSON')
    .action(async (name: string | undefined, given: { json?: boolean }) => {
      const { listWorkloads, loadWorkload } = await import('../../client/workloads/index.js');
      const names = name === undefined ? listWorkloads() : [name];
      const manifests = await Promise.all(
        names.map(async (one) => (await loadWorkload(one).catch(asWrongUse)).manifest),
      );
      if (given.json) return printJson(name === undefined ? manifests : manifests[0]);
      if (name === undefined) for (const { name, topic } of manifests) print(`${name.padEnd(16)} ${topic}`);
      else for (const line of describe(manifests[0])) print(line);
    });
}

function describe(manifest: Manifest): string[] {
  const { name, topic, paper, data, privacyUnits, headline, scales } = manifest;
  const rows = Object.entries(scales).map(([scale, { clients, cohort, rounds, partition, training, hyper }]) => {
    return `  ${scale.padEnd(6)} ${JSON.stringify({ clients, cohort, rounds, partition, ...training, hyper })}`;
  });
  return [
    `${name}: ${topic}`,
    `paper          ${paper}`,
    `data           ${data}`,
    `privacy units  ${privacyUnits.join(', ')}`,
    `headline       ${headline.metric} (${headline.better} is better)`,
    'scales',
    ...rows,
  ];
}
