/** `starling schema run | policy`: the JSON Schema of a file, for editors. */
import { Argument, type Command } from 'commander';
import { command, printJson } from './options.js';

/** The same as the package ships below dist/schemas. */
export function schemaCommand(): Command {
  return command(
    'schema',
    'the JSON Schema of a run or policy file, for editors',
    'starling schema run > run.schema.json',
  )
    .addArgument(new Argument('FILE', 'of which file').choices(['run', 'policy']))
    .action(async (name: 'run' | 'policy') => {
      const { SCHEMAS } = await import('../schemas.js');
      printJson(SCHEMAS[name]());
    });
}
