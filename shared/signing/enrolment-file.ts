/**
 * A site's own list of who is enrolled, as `starling token enrolled` prints it: `{"lab-1": "64 hex digits", …}`,
 * and of a client that has rotated its key all keys, `["64 hex digits", …]`, the newest first.
 */
import { FlError, invalidArgument } from '../errors.js';
import { fromHex, HEX_32_BYTES } from '../hex.js';
import { checkEd25519Key } from './strict.js';

/** Ed25519 keys of now, hex, by client. @throws FlError invalid-argument naming the file and the entry */
export function parseEnrolment(text: string, source: string): ReadonlyMap<string, string> {
  return new Map([...parseEnrolmentKeys(text, source)].map(([client, [key]]) => [client, key]));
}

/**
 * Ed25519 keys, hex, by client, the newest first.
 * @throws FlError invalid-argument naming the file and the entry
 */
export function parseEnrolmentKeys(text: string, source: string): ReadonlyMap<string, readonly string[]> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FlError('invalid-argument', `${source}: expected JSON, got something else`, { cause });
  }
  const entries = Object.entries((value ?? {}) as Record<string, unknown>);
  const isKeys = (keys: unknown[]) => keys.length > 0 && keys.every((key) => HEX_32_BYTES.test(String(key)));
  const bad = entries.find(([, key]) => !isKeys([key].flat()));
  if (entries.length === 0) throw invalidArgument(source, 'an object of client names and keys', typeof value);
  if (bad !== undefined) throw invalidArgument(`${source}: ${bad[0]}`, '64 lower-case hex digits', bad[1]);
  const keys = entries.map(([client, key]) => [client, [key].flat() as string[]] as const);
  for (const [client, all] of keys) for (const key of all) checkEd25519Key(`${source}: ${client}`, fromHex(key));
  return new Map(keys);
}
