/** A site's own list of who is enrolled, as `starling token enrolled` prints it: `{"lab-1": "64 hex digits", …}`. */
import { FlError, invalidArgument } from '../errors.js';
import { fromHex, HEX_32_BYTES } from '../hex.js';
import { checkEd25519Key } from './strict.js';

/**
 * Ed25519 keys, hex, by client.
 * @throws FlError invalid-argument naming the file and the entry
 */
export function parseEnrolment(text: string, source: string): ReadonlyMap<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FlError('invalid-argument', `${source}: expected JSON, got something else`, { cause });
  }
  const entries = Object.entries((value ?? {}) as Record<string, unknown>);
  const bad = entries.find(([, key]) => typeof key !== 'string' || !HEX_32_BYTES.test(key));
  if (entries.length === 0) throw invalidArgument(source, 'an object of client names and keys', typeof value);
  if (bad !== undefined) throw invalidArgument(`${source}: ${bad[0]}`, '64 lower-case hex digits', bad[1]);
  const keys = entries as [string, string][];
  for (const [client, key] of keys) checkEd25519Key(`${source}: ${client}`, fromHex(key));
  return new Map(keys);
}
