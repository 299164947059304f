/**
 * Reading a workload's settings, which arrive as a record of numbers, strings and booleans from a command line or from
 * the wire. A wrong type is said once, here, in the words of the command line.
 */
import { invalidArgument } from '../../../shared/errors.js';
import type { Hyper } from '../../../shared/run/spec.js';

/** @throws FlError invalid-argument unless it is there and a finite number of at least `least` */
export function hyperNumber(hyper: Hyper, name: string, least = 0): number {
  const value = hyper[name];
  if (typeof value !== 'number' || !Number.isFinite(value) || value < least) {
    throw invalidArgument(`hyper.${name}`, `a number >= ${least}`, value);
  }
  return value;
}

/** @throws FlError invalid-argument unless it is there and an integer of at least `least` */
export function hyperInteger(hyper: Hyper, name: string, least = 0): number {
  const value = hyperNumber(hyper, name, least);
  if (!Number.isSafeInteger(value)) throw invalidArgument(`hyper.${name}`, 'an integer', value);
  return value;
}

/** @throws FlError invalid-argument unless it is one of `choices` */
export function hyperChoice<Choice extends string>(hyper: Hyper, name: string, choices: readonly Choice[]): Choice {
  const choice = choices.find((candidate) => candidate === hyper[name]);
  if (choice === undefined) throw invalidArgument(`hyper.${name}`, `one of ${choices.join(', ')}`, hyper[name]);
  return choice;
}

/** False when absent. @throws FlError invalid-argument unless it is a boolean */
export function hyperFlag(hyper: Hyper, name: string): boolean {
  const value = hyper[name] ?? false;
  if (typeof value !== 'boolean') throw invalidArgument(`hyper.${name}`, 'true or false', value);
  return value;
}
