/** Join tokens from a file or from standard input: a command line is in the list of processes for everybody to read. */
import { createReadStream } from 'node:fs';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { MAX_TOKEN_CHARS } from '../../shared/wire/limits.js';

/**
 * The token of a command line: itself, or what `file` holds, `-` being standard input.
 * @throws FlError invalid-argument: both or neither are given, or more came than a token has
 */
export async function readToken(token: string | undefined, file: string | undefined): Promise<string> {
  const path = token === '-' ? token : file;
  if (token !== undefined && token !== '-') {
    if (file === undefined) return token;
    throw invalidArgument('token', 'TOKEN or --token-file FILE', 'both');
  }
  if (path === undefined)
    throw invalidArgument('token', 'TOKEN, or --token-file FILE (- is standard input)', 'neither');
  const name = path === '-' ? 'standard input' : path;
  const source = path === '-' ? process.stdin : createReadStream(path);
  let text = '';
  try {
    for await (const piece of source) {
      text += piece;
      if (text.length > 2 * MAX_TOKEN_CHARS) break;
    }
  } catch (cause) {
    const { code = 'an error' } = cause as { code?: string };
    throw new FlError('invalid-argument', `token-file: expected a file with a token, got ${code} for ${name}`, {
      cause,
    });
  }
  if (text.trim().length > MAX_TOKEN_CHARS) {
    throw invalidArgument('token-file', `a join token, at most ${MAX_TOKEN_CHARS} characters`, `more in ${name}`);
  }
  return text.trim();
}
