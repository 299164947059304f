/** `starling audit show | verify DATA_DIR`: the security log of a coordinator, with nothing but its files. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { wordsOf } from '../../server/audit/audit.js';
import { readSecurityLog } from '../../server/audit/log.js';
import { readHandOvers } from '../../server/keys.js';
import { corrupt, FlError, invalidArgument } from '../../shared/errors.js';
import { fromHex, HEX_32_BYTES } from '../../shared/hex.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { command, print, printJson } from './options.js';

interface Given {
  readonly coordinator?: string;
  readonly head?: string;
  readonly json?: boolean;
}

/** `starling audit` with its subcommands; a copy of the data directory will do. */
export function auditCommand(): Command {
  const show = sub('show', 'who joined, who was refused, what operators did, which plans were signed').action(
    showAction,
  );
  const verify = sub('verify', 'whether the security log holds: every signature, every hash')
    .option('--head <SHA256>', 'a last line that was noted earlier: it must still be there')
    .action(verifyAction);
  return command('audit', 'the security log of a coordinator', 'starling audit verify DATA_DIR')
    .addCommand(show)
    .addCommand(verify);
}

function sub(name: string, description: string): Command {
  return command(name, description, `starling audit ${name} DATA_DIR`)
    .argument('DATA_DIR')
    .option('--coordinator <FINGERPRINT>', "SHA-256 of the coordinator's public key (default: the key in DATA_DIR)")
    .option('--json', name === 'show' ? 'print each entry as a line of JSON' : 'print JSON');
}

async function showAction(directory: string, given: Given): Promise<void> {
  for await (const { entry } of readSecurityLog(directory, await keysIn(directory, given))) {
    print(given.json ? JSON.stringify(entry) : `${new Date(entry.atMs).toISOString()}  ${wordsOf(entry)}`);
  }
}

async function verifyAction(directory: string, given: Given): Promise<void> {
  if (given.head !== undefined && !HEX_32_BYTES.test(given.head)) {
    throw invalidArgument('head', '64 lower-case hex digits', given.head);
  }
  const keys = await keysIn(directory, given);
  const files = new Set<string>();
  let lines = 0;
  let head = '';
  let first = '';
  let isHeadThere = given.head === undefined;
  for await (const line of readSecurityLog(directory, keys)) {
    first ||= line.entry.previous;
    files.add(line.file);
    lines++;
    head = line.sha256;
    isHeadThere ||= head === given.head;
  }
  if (!isHeadThere) throw corrupt('security log', `the line ${given.head}`, 'none of that hash: lines are gone');
  const isWhole = /^0*$/.test(first);
  if (given.json) return printJson({ ok: true, lines, files: files.size, whole: isWhole, head });
  print(`the security log holds: ${lines} lines in ${files.size} ${files.size === 1 ? 'file' : 'files'}`);
  if (!isWhole) print('it does not begin with the first line of all: older files have gone');
  print(`last line    ${head}`);
}

/** Of now and of before, Ed25519, 32 bytes each. @throws FlError not-found, permission-denied */
async function keysIn(directory: string, { coordinator }: Given): Promise<Uint8Array[]> {
  const path = join(directory, 'identity.pub');
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new FlError('not-found', `${path}: expected the key of a coordinator, got ${cause.code}`, { cause });
  });
  if (!HEX_32_BYTES.test(text.trim())) throw corrupt(path, '64 lower-case hex digits', 'something else');
  const handOvers = await readHandOvers(directory);
  const keys = [...handOvers.map(({ from }) => from), handOvers.at(-1)?.to ?? text.trim()].map(fromHex).reverse();
  const pinned = keys.findIndex((key) => sha256Hex(key) === coordinator);
  if (coordinator === undefined || pinned >= 0) return keys;
  throw new FlError('permission-denied', `coordinator: expected ${coordinator}, got ${sha256Hex(keys[0])} in ${path}`);
}
