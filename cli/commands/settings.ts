/** Options of commands that are settings of a run, from the table that has them (shared/run/settings.ts). */
import { Option } from 'commander';
import { z } from 'zod';
import { SETTINGS, type Setting } from '../../shared/run/settings.js';
import { integer, keyValue, number } from './options.js';

/** The keys of a configuration, in the order of the help. */
export const SETTING_KEYS = Object.keys(SETTINGS) as (keyof typeof SETTINGS)[];

/** The option of a setting; a command for which it means something narrower has a help text of its own. */
export function settingOption(key: keyof typeof SETTINGS, ownHelp?: string): Option {
  const { schema, value, help }: Setting = SETTINGS[key];
  const option = new Option(value === undefined ? `--${key}` : `--${key} <${value}>`, ownHelp ?? help);
  const read = readerOf(schema);
  return read === undefined ? option : option.argParser(read);
}

/** Commander's camelCase back to the keys of a configuration. */
export function configOf(options: object): Record<string, unknown> {
  const entries = Object.entries(options).map(([name, value]) => {
    return [name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), value] as const;
  });
  return Object.fromEntries(entries);
}

type Reader = (text: string, held: unknown) => unknown;

/** How text becomes what the schema is about; whether it is allowed, the schema says. Undefined: text, or a switch. */
function readerOf(schema: unknown): Reader | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return readerOf(schema.unwrap());
  if (schema instanceof z.ZodNumber) return schema.isInt ? integer : number;
  if (schema instanceof z.ZodRecord) return keyValue as Reader;
  if (!(schema instanceof z.ZodUnion)) return undefined;
  const read = schema.options.map(readerOf).find((one) => one === number || one === integer);
  if (read === undefined) return undefined;
  const words = schema.options.flatMap((option) => (option instanceof z.ZodLiteral ? [...option.values] : []));
  return (text, held) => (words.includes(text) ? text : read(text, held));
}
