/**
 * What a client says that has nothing to train with: a word of the protocol, the same in the clear, under secure aggregation
 * and under privacy. It is no failure and no refusal. Such a client is not drawn again, is charged nothing, and evaluates
 * what others trained if it has test examples.
 *
 * It is said of data alone, before a model is looked at, so no model can be made that asks a question with it.
 */

/** Detail of the answer to a plan to train. */
export const NO_TRAINING_EXAMPLES = 'no training examples here';

/** Detail of the answer to a plan to evaluate, where test figures are noised: there would be noise alone, and a charge. */
export const NO_TEST_EXAMPLES = 'no test examples here';
