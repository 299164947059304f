/** People at the machines of a {@link Network}: what a page has them type goes into a shell that stays open, in a folder of its own. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { CLI } from '../../simulations/local-process.js';
import type { Block } from '../docs/page.js';
import type { Network } from './namespaces.js';

/** Reads names of scripts from 3, runs each, and says on 4 that it has succeeded. */
const SHELL = 'while read -r script <&3; do . "$script" < /dev/null; echo done >&4; done';

/** Who sits at one machine. */
export class Person {
  readonly folder: string;
  readonly #shell: ChildProcess;
  readonly #output: string[] = [];
  readonly #gone: Promise<never>;
  /** Nobody has the shell's pipes any more: what ran in the background is over, too. */
  readonly #closed: Promise<unknown>;
  readonly #done: AsyncIterator<string>;
  #typed = 0;
  #isClosing = false;

  private constructor(folder: string, at: readonly string[]) {
    this.folder = folder;
    const [program, ...within] = at;
    this.#shell = spawn(program, [...within, 'bash', '-euo', 'pipefail', '-c', SHELL], {
      cwd: folder,
      env: { ...process.env, PATH: `${folder}/bin:${process.env.PATH}`, HOME: folder, STARLING_HOME: `${folder}/home` },
      detached: true, // a process group: what runs in the background goes with it
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    });
    for (const stream of [this.#shell.stdout!, this.#shell.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => this.#output.push(text));
    this.#gone = new Promise<never>((_, reject) => {
      this.#shell.once('exit', () => {
        if (!this.#isClosing) reject(new Error(`the shell in ${folder} ended: ${this.#output.join('').slice(-4000)}`));
      });
    });
    this.#gone.catch(() => undefined); // it is raced
    this.#closed = new Promise((resolve) => this.#shell.once('close', resolve));
    for (const pipe of this.#shell.stdio.slice(3)) pipe?.on('error', () => undefined); // the shell's end says more
    this.#done = createInterface({ input: this.#shell.stdio[4] as Readable })[Symbol.asyncIterator]();
  }

  /** @param parent where this person's folder is made, called as the machine is */
  static async at(network: Network, machine: string, parent: string): Promise<Person> {
    const folder = join(parent, machine);
    await mkdir(join(folder, 'bin'), { recursive: true });
    const program = `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`;
    await writeFile(join(folder, 'bin', 'starling'), program, { mode: 0o755 });
    return new Person(folder, network.at(machine));
  }

  /** Resolves when all of it has succeeded. @throws Error with what the machine has said, when one command fails */
  async type(lines: readonly string[]): Promise<void> {
    const script = join(this.folder, `.typed-${this.#typed++}`);
    await writeFile(script, lines.join('\n'));
    (this.#shell.stdio[3] as Writable).write(`${script}\n`);
    await Promise.race([this.#done.next(), this.#gone]);
  }

  /** Hands over files of this person's folder. */
  async give(to: Person, files: Block['files']): Promise<void> {
    for (const file of files) await copyFile(join(this.folder, file), join(to.folder, file));
  }

  /** Resolves when a file of this person's has a line that matches; a program writes it, and tells nobody when. */
  async line(file: string, pattern: RegExp): Promise<string> {
    for (;;) {
      const text = await readFile(join(this.folder, file), 'utf8').catch(() => '');
      const found = text.split('\n').find((line) => pattern.test(line));
      if (found !== undefined) return found;
      await Promise.race([new Promise((resolve) => setTimeout(resolve, 200)), this.#gone]);
    }
  }

  /** Whatever was begun at this machine is over. */
  async close(): Promise<void> {
    this.#isClosing = true;
    try {
      process.kill(-this.#shell.pid!, 'SIGKILL');
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH'); // nothing of it is left
    }
    await this.#closed;
  }
}
