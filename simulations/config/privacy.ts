/** The privacy of a run, from the keys of a configuration; what they leave open is filled in here. */
import type { Workload } from '../../client/workload.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { checkNoise } from '../../shared/privacy/accounting/limits.js';
import { ADAPTIVE_CLIP_DEFAULT } from '../../shared/privacy/index.js';
import { evaluationsOf } from '../../shared/run/privacy-cost.js';
import { type Config, givenOf, PRIVACY_SETTINGS } from '../../shared/run/settings.js';
import type { Hyper, PrivacySpec } from '../../shared/run/spec.js';

/** Keys that say nothing in a run without privacy. */
const KEYS = [
  ...(Object.keys(PRIVACY_SETTINGS) as (keyof typeof PRIVACY_SETTINGS)[]),
  'clipping-bound',
  'noise',
  'separation',
  'test-noise-multiplier',
  'secret-noise',
] as const;
const DEFAULTS = { noiseMultiplier: 1, delta: 1e-5 };
const DEFAULT_BOUND = 1;
const DEFAULT_SAMPLING_RATE = 0.05;

/**
 * Undefined for a run without privacy.
 * @param sizes clients there are, in a round, and most in one sum
 * @param run what else its price depends on
 * @throws FlError invalid-argument: keys that contradict each other, or a unit that the workload cannot protect
 */
export function privacyOf(
  config: Config,
  workload: Workload,
  sizes: { readonly clients: number; readonly cohort: number; readonly cohortMax: number },
  run: { readonly rounds: number; readonly evaluateEvery: number; readonly hyper: Hyper },
): PrivacySpec | undefined {
  const { manifest } = workload;
  const { privacy: mode } = config;
  if (mode === 'none') {
    const given = KEYS.find((key) => config[key] !== undefined);
    if (given === undefined) return undefined;
    throw invalidArgument(given, 'privacy to be central, distributed, local or example', 'none');
  }
  const unit = mode === 'example' ? 'example' : 'client';
  if (!manifest.privacyUnits.includes(unit)) throw unitError(manifest.name, mode);
  const { 'clipping-bound': bound = DEFAULT_BOUND } = config;
  const isAdaptive = bound === 'adaptive';
  const clippingBound = isAdaptive ? ADAPTIVE_CLIP_DEFAULT.bound : bound;
  const common = { mode, clippingBound, ...DEFAULTS, ...givenOf(config, PRIVACY_SETTINGS) };
  checkNoise(common.noiseMultiplier, 'noise-multiplier'); // before anything is computed of it
  if (unit === 'example') {
    if (isAdaptive) throw invalidArgument('clipping-bound', 'a number with privacy example', bound);
    const ofTree = (['noise', 'separation'] as const).find((key) => config[key] !== undefined);
    if (ofTree !== undefined) throw invalidArgument(ofTree, 'privacy central', mode);
    return { samplingRate: DEFAULT_SAMPLING_RATE, ...common, ...testsOf(config, workload, run) };
  }
  if (config['test-noise-multiplier'] !== undefined) {
    throw invalidArgument('test-noise-multiplier', 'privacy example: test figures are of single examples', mode);
  }
  if (config['sampling-rate'] !== undefined) {
    throw invalidArgument('sampling-rate', 'privacy example, whose clients draw examples in secret', mode);
  }
  if (mode === 'distributed' && !config['secure-aggregation']) {
    throw new FlError(
      'invalid-argument',
      'privacy distributed: expected secure-aggregation, which hides each share of the noise, or privacy local instead; got neither',
    );
  }
  const { cohortMax } = sizes;
  return { ...common, cohortMax, ...(isAdaptive && { adaptive: true }), ...treeOf(config, sizes) };
}

function testsOf(
  { 'test-noise-multiplier': noiseMultiplier }: Config,
  { manifest }: Workload,
  { rounds, evaluateEvery, hyper }: { rounds: number; evaluateEvery: number; hyper: Hyper },
): Pick<PrivacySpec, 'tests'> {
  if (noiseMultiplier === undefined) return {};
  const metrics = manifest.maskedMetrics?.(hyper) ?? [];
  if (metrics.length === 0) {
    const expected = 'a workload whose maskedMetrics say what one example adds';
    throw invalidArgument('test-noise-multiplier', expected, manifest.name);
  }
  return { tests: { noiseMultiplier, evaluations: evaluationsOf(rounds, evaluateEvery), metrics: [...metrics] } };
}

function treeOf(config: Config, { clients, cohort }: { clients: number; cohort: number }): Pick<PrivacySpec, 'tree'> {
  const { noise = 'independent', separation = 1 } = config;
  if (noise !== 'tree') {
    if (config.separation === undefined) return {};
    throw invalidArgument('separation', 'noise tree', noise);
  }
  if (cohort * separation > clients) {
    throw invalidArgument('separation', `at most clients / cohort (${clients} / ${cohort})`, separation);
  }
  return { tree: { separation } };
}

function unitError(workload: string, mode: PrivacySpec['mode']): FlError {
  const expected =
    mode === 'example'
      ? `distributed or central, which protect a client as a whole: the loss of ${workload} does not split per example`
      : `example, which workload ${workload} is made for`;
  return invalidArgument('privacy', expected, mode);
}
