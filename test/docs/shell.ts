/** What a page has people type, in a shell of its own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';

/**
 * Runs a script, which ends at the first command that fails, and then whatever it has left in the background.
 *
 * @returns its exit code, null where a signal ended it, and what it has printed
 */
export async function runShell(
  script: string,
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<{ code: number | null; output: string }> {
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd,
    env,
    detached: true, // a process group: what runs in the background goes with it
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: string[] = [];
  for (const stream of [shell.stdout, shell.stderr]) stream.setEncoding('utf8').on('data', (text) => output.push(text));
  const closed = new Promise((resolve) => shell.once('close', resolve)); // the background has let go of the pipes too
  const code = await new Promise<number | null>((resolve) => shell.once('exit', resolve));
  try {
    process.kill(-shell.pid!, 'SIGKILL');
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH'); // nothing was in the background
  }
  await closed;
  return { code, output: output.join('') };
}
