/** Mutants of the machines of secure aggregation, and of what both sides compute of it. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

export const MASKS = [
  ...mutantsOf(
    'shared/secagg/client/share',
    ['shared/secagg/attacks', 'shared/secagg/server'],
    [
      ['a cohort is not too small', 'cohort >= params.cohortMin && cohort', 'cohort'],
      [
        'a threshold is that of the cohort',
        'expected?.degree === degree && expected.threshold === threshold',
        'expected?.degree === degree',
      ],
    ],
  ),
];
