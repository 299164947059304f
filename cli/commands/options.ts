/** Parsers and small habits that several commands share. */

import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { RunStatus } from '../../shared/run/summary.js';
import { stampOf } from '../../shared/run-id.js';
import { withKeyFile } from './key-file.js';

/** @throws InvalidArgumentError: not a whole number that a double holds exactly */
export function integer(text: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError(`expected an integer.`);
  return value;
}

/** @throws InvalidArgumentError: not a finite number */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.');
  return value;
}

/** `--hyper key=value`, repeatable; numbers and true/false are read as such. */
export function keyValue(text: string, held: Record<string, number | string | boolean> = {}) {
  const [key, ...rest] = text.split('=');
  const value = rest.join('=');
  if (key === '' || key === '__proto__' || rest.length === 0) throw new InvalidArgumentError('expected KEY=VALUE.');
  const asNumber = Number(value);
  if (value === 'true' || value === 'false') return { ...held, [key]: value === 'true' };
  return { ...held, [key]: value.trim() !== '' && Number.isFinite(asNumber) ? asNumber : value };
}

/** An option that may be given more than once. */
export function repeated(text: string, held: string[] = []): string[] {
  return [...held, text];
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `24h`, `30m`, `90s`, `7d` in milliseconds. */
export function durationMs(text: string): number {
  const match = /^(\d+)([smhd])$/.exec(text);
  if (match === null) throw new InvalidArgumentError('expected a number and s, m, h or d, as in 24h.');
  return Number(match[1]) * UNITS_MS[match[2]];
}

/** `3/10`: the third of ten shares, as a person counts. */
export function slice(text: string): { index: number; count: number } {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [index, count] = match === null ? [0, 0] : [Number(match[1]) - 1, Number(match[2])];
  if (match === null || index < 0 || index >= count) throw new InvalidArgumentError('expected I/N with 1 <= I <= N.');
  return { index, count };
}

/** A subcommand whose help ends with an example. */
export function command(name: string, description: string, example: string): Command {
  return new Command(name).description(description).addHelpText('after', exampleText(example));
}

/** For a command that asks a coordinator: which one, and as whom. */
export function askingCoordinator(made: Command): Command {
  return withKeyFile(made)
    .option('--data-dir <DIR>', "the coordinator's data directory (default: ~/.starling/coordinator)")
    .option(
      '--credential <FILE>',
      'of an account, from anywhere: starling account add (default: $STARLING_CREDENTIAL)',
    );
}

/** What a subcommand is given that asks the coordinator of a data directory. */
export interface Given {
  readonly dataDir?: string;
  readonly credential?: string;
  readonly json?: boolean;
}

/** A subcommand that asks the coordinator of a data directory, which must be running; `usage` is its name and its arguments. */
export function sub(usage: string, description: string, example: string): Command {
  const [name, ...args] = usage.split(' ');
  const made = askingCoordinator(command(name, description, example)).option('--json', 'print JSON');
  return args.reduce((all, arg) => all.argument(arg), made);
}

/** What a help text ends with. */
export function exampleText(example: string): string {
  return `\nExample:\n  $ ${example}`;
}

/** For what the user named and nobody has: wrong use here, where inside the program it is merely not found. */
export function asWrongUse(thrown: unknown): never {
  const error = FlError.from(thrown);
  throw error.code === 'not-found' ? new FlError('invalid-argument', error.message, { cause: error }) : error;
}

/** @throws FlError aborted, unless the run did what it was asked to: a script must not go on with half a model. */
export function checkEnded(status: RunStatus, reason: string | null): void {
  if (status === 'failed') throw new FlError('aborted', `the run failed: ${reason}`);
  if (status === 'stopped') throw new FlError('aborted', `the run was stopped: ${reason}`);
}

/** One line on standard output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Rows of cells as lines of text, each column as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );
}

/** One JSON value on standard output, indented. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/**
 * Calls `stop` once on Ctrl-C or SIGTERM, or when the process that started this one as a helper is gone: it may have
 * gone already, while this one was starting.
 */
export function onInterrupt(stop: () => void): () => void {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.once(signal, stop);
  if (process.send !== undefined) {
    if (process.connected) process.once('disconnect', stop);
    else setImmediate(stop);
  }
  return () => {
    for (const signal of signals) process.off(signal, stop);
    process.off('disconnect', stop);
  };
}

/** Where simulations and demos put their run directories. */
export function newRunDirectory(name: string, nowMs: number): string {
  if (name.includes('/')) throw invalidArgument('name', 'no slash', name);
  return join('starling-runs', `${name}-${stampOf(nowMs)}-${process.pid}`);
}
