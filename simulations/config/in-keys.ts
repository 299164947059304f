/**
 * What is wrong with a configuration, in its own words: a specification, and the functions that its fields are given to, say
 * minSurvivors where its author wrote min-survivors.
 */
import { FlError } from '../../shared/errors.js';
import { camelCase, SETTINGS } from '../../shared/run/settings.js';

/** Fields that follow from a key of another name. */
const OTHERS = {
  groupSize: 'secure-groups',
  survivorsMin: 'min-survivors',
  cohortMax: 'cohort',
  mostSurvivors: 'cohort',
} as const;
const KEYS: ReadonlyMap<string, string> = new Map([
  ...Object.keys(SETTINGS).map((key) => [camelCase(key), key] as const),
  ...Object.entries(OTHERS),
]);
/** What a user has typed is quoted, and stays as it is. */
const QUOTED_OR_WORD = /"(?:[^"\\]|\\.)*"|[A-Za-z]+/g;

/** What `make` gives; what it throws over its arguments names the keys of a configuration. */
export function inKeys<T>(make: () => T): T {
  try {
    return make();
  } catch (thrown) {
    // a field of a specification that is wrong by itself was in no configuration, but in a workload's scale
    if (!(thrown instanceof FlError) || thrown.message.startsWith('run spec: ')) throw thrown;
    const message = thrown.message.replace(QUOTED_OR_WORD, (word) => KEYS.get(word) ?? word);
    throw new FlError(thrown.code, message, { cause: thrown });
  }
}
