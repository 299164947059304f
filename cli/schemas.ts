/**
 * JSON Schemas of the files that people write, so that an editor completes and checks them; from the tables that the
 * program itself reads them by. A check between two keys is the program's alone.
 */
import { z } from 'zod';
import { policyRows } from '../client/policy/table.js';
import { SETTINGS } from '../shared/run/settings.js';

interface Row {
  readonly schema: z.ZodType;
  readonly help: string;
}

/** By the names of their files in the package: `dist/schemas/NAME.json`. */
export const SCHEMAS: Readonly<Record<'run' | 'policy', () => object>> = {
  run: () =>
    schemaOf('a run of Starling: starling simulate, starling run start', Object.entries(SETTINGS), ['workload']),
  policy: () => schemaOf("a site's policy: starling client run --policy", policyRows(), []),
};

function schemaOf(title: string, rows: readonly (readonly [string, Row])[], required: readonly string[]): object {
  const properties = rows.map(([key, { schema, help }]) => {
    const { $schema: _, ...own } = z.toJSONSchema(schema, { io: 'input' });
    return [key, { description: help, ...own }] as const;
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title,
    type: 'object',
    properties: Object.fromEntries(properties),
    required,
    additionalProperties: false,
  };
}
