/** `policy.yaml`: how it is read, how it is begun with everything explained, and its table in the documents. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { FlError } from '../../shared/errors.js';
import { checkYaml, parseYaml } from '../../shared/yaml.js';
import { POLICY_DEFAULTS, POLICY_KEYS, type Policy, policyRows } from './table.js';

type Shape = { readonly [Key in keyof typeof POLICY_KEYS]: z.ZodOptional<(typeof POLICY_KEYS)[Key]['schema']> };

const schema = z.strictObject(
  Object.fromEntries(Object.entries(POLICY_KEYS).map(([key, row]) => [key, row.schema.optional()])) as unknown as Shape,
);

/**
 * The rules of a file, with {@link POLICY_DEFAULTS} where it is silent. A key that is not known is an error, so that a
 * misspelt rule is never a missing one.
 * @throws FlError invalid-argument naming the key.
 */
export function parsePolicy(text: string, source: string): Policy {
  const policy = { ...POLICY_DEFAULTS, ...checkYaml(schema, parseYaml(text, source), source) };
  if ([policy['first-model']].flat().includes('ledger') && policy.ledger === undefined) {
    throw new FlError(
      'invalid-argument',
      `${source}: first-model: ledger: expected the key ledger with its file, got none`,
    );
  }
  return policy;
}

/** The rules of a file on disk. @throws FlError invalid-argument: it cannot be read, or as {@link parsePolicy} */
export async function readPolicy(path: string): Promise<Policy> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new FlError('invalid-argument', `policy: expected a readable file, got ${cause.code}: ${path || '""'}`, {
      cause,
    });
  });
  return parsePolicy(text, path);
}

/** A file that says what a site without one has, each key with its help; keys without a default are commented out. */
export function policyText(): string {
  const head = [
    '# What this site allows. A plan that a key forbids is declined, and both sides are told which key, what it',
    '# expected and what came. A key that is left out has the value below.',
    '',
  ];
  const keys = policyRows().flatMap(([key, { default: value, example, without, help }]) => [
    ...wrapped(value === undefined ? `${help} (without it: ${without})` : help),
    value === undefined ? `# ${key}: ${shown(example)}` : `${key}: ${shown(value)}`,
    '',
  ]);
  return [...head, ...keys].join('\n');
}

/** The keys as a table of Markdown. */
export function policyTable(): string {
  const rows = policyRows().map(([key, { default: value, without, help }]) => {
    return `| \`${key}\` | ${value === undefined ? without : `\`${shown(value)}\``} | ${help} |`;
  });
  return ['| key | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}

/** The keys for a help text: name, what holds without it, what it is for. */
export function policyHelp(): string {
  return policyRows()
    .map(
      ([key, { default: value, without, help }]) =>
        `  ${key}\n      ${help} (default: ${value === undefined ? without : shown(value)})`,
    )
    .join('\n');
}

function shown(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
}

function wrapped(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    if (lines[lines.length - 1].length + word.length > 110) lines.push('');
    lines[lines.length - 1] += `${lines[lines.length - 1] === '' ? '' : ' '}${word}`;
  }
  return lines.map((line) => `# ${line}`);
}
