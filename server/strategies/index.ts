/** All strategies, and how an operator names one: `fed-adam:lr=0.01,tau=0.001`. A new one is one file and one line here. */
import { invalidArgument } from '../../shared/errors.js';
import { fedAdagrad } from './fed-adagrad.js';
import { fedAdam } from './fed-adam.js';
import { fedAvg } from './fed-avg.js';
import { fedAvgM } from './fed-avgm.js';
import { fedProx } from './fed-prox.js';
import { fedYogi } from './fed-yogi.js';
import { makeStrategy, type Strategy, type StrategyFactory } from './strategy.js';

/** All of them, in the order in which an error lists them. */
export const STRATEGIES: readonly StrategyFactory[] = [fedAvg, fedProx, fedAvgM, fedAdagrad, fedAdam, fedYogi];

/**
 * Reads `name` or `name:setting=number,...`; the dash in the name may be left out.
 * @throws FlError invalid-argument naming the strategy or setting, what was expected and what came.
 */
export function parseStrategy(text: string): Strategy {
  const [name, ...rest] = text.trim().split(':');
  const plain = (spelling: string) => spelling.toLowerCase().replaceAll('-', '');
  const factory = STRATEGIES.find((candidate) => plain(candidate.name) === plain(name.trim()));
  if (factory === undefined) {
    throw invalidArgument('strategy', `one of ${STRATEGIES.map((known) => known.name).join(', ')}`, name);
  }
  return makeStrategy(factory, parseSettings(factory.name, rest.join(':')));
}

function parseSettings(name: string, text: string): Record<string, number> {
  const settings = Object.create(null) as Record<string, number>; // so that '__proto__' is a key like any other
  for (const pair of text.split(',').filter((part) => part.trim() !== '')) {
    const [key, value, ...more] = pair.split('=').map((part) => part.trim());
    if (value === undefined || value === '' || more.length > 0) {
      throw invalidArgument(`strategy ${name} settings`, 'setting=number, separated by commas', pair);
    }
    if (Object.hasOwn(settings, key)) throw invalidArgument(`strategy ${name} settings`, 'each setting once', key);
    if (Number.isNaN(Number(value))) throw invalidArgument(`strategy ${name} ${key}`, 'a number', value);
    settings[key] = Number(value);
  }
  return settings;
}

export { makeStrategy, type Strategy, type StrategyFactory, type StrategyState } from './strategy.js';
export { fedAdagrad, fedAdam, fedAvg, fedAvgM, fedProx, fedYogi };
