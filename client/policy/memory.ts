/**
 * What a policy holds against a plan and all that was followed before it: the runs of a month, and which examples train
 * and which are tested. The second is the site's to say (`data-roles: pinned`): test figures are exact, so an example that
 * trained under privacy must never be tested because a later plan's settings call it a test example.
 */
import type { RoundPlan } from '../../shared/run/plan.js';
import type { Hyper } from '../../shared/run/spec.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import type { BegunRun } from '../store/begun-runs.js';
import type { Manifest } from '../workload.js';
import type { Asked, Policy, PolicyKeyName } from './table.js';

/** The plan's run as it would be remembered. */
export function begunRunOf(
  { run, work }: RoundPlan,
  { manifest, validation }: Divided,
  policy: Policy,
  nowMs: number,
): BegunRun {
  return {
    run,
    workSha256: sha256Hex(canonicalJson(work)),
    month: new Date(nowMs).toISOString().slice(0, 7),
    workload: work.workload,
    roles: { ...rolesOf(manifest, work), ...(validation === undefined && heldOutBy(policy, work)) },
    isPrivate: work.privacy !== undefined,
  };
}

/**
 * Of the settings, and the run's seed (`run-seed`), those that decide what trains and what is tested; of a workload that
 * does not say which: all, for it may divide its files at random.
 */
export function rolesOf({ roleKeys }: Manifest, { hyper, seed }: Pick<RoundPlan['work'], 'hyper' | 'seed'>): Hyper {
  const entries = Object.entries({ ...hyper, 'run-seed': seed }).filter(
    ([key]) => roleKeys === undefined || roleKeys.includes(key),
  );
  return Object.fromEntries(entries);
}

/** A workload with a validation split of its own has roles for all examples by itself. */
type Divided = { readonly manifest: Manifest; readonly validation?: unknown };

/** What is held out of the training examples moves them as no setting of a workload does; nothing where nothing is. */
function heldOutBy(policy: Policy, { validationFraction }: RoundPlan['work']): Hyper {
  const fraction = policy['validation-fraction'] ?? validationFraction ?? 0;
  return fraction === 0 ? {} : { 'validation-fraction': fraction };
}

/** Whether the run has been begun: then nothing is asked again. */
export function isBegun(run: BegunRun, begun: readonly BegunRun[]): boolean {
  return begun.some((other) => other.run === run.run && other.workSha256 === run.workSha256);
}

/** What the keys that look back say of a run that has not been begun, in the order of the table. */
export function askMemory(
  policy: Policy,
  run: BegunRun,
  begun: readonly BegunRun[],
): (Asked & { readonly key: PolicyKeyName })[] {
  const asked: (Asked & { readonly key: PolicyKeyName })[] = [];
  if (policy['data-roles'] === 'pinned') asked.push({ key: 'data-roles', ...askRoles(run, begun) });
  const most = policy['max-runs-per-month'];
  if (most !== undefined) {
    const got = begun.filter(({ month }) => month === run.month).length + 1;
    const next = "wait for the next month, or raise this key in the site's policy";
    const [expected, said] = [`at most ${most}`, `run ${got} of ${run.month}`];
    asked.push({ key: 'max-runs-per-month', ok: got <= most, expected, got: said, next });
  }
  return asked;
}

/** Roles may change as long as no run with privacy is on either side of the change. */
function askRoles(run: BegunRun, begun: readonly BegunRun[]): Asked {
  const other = begun.find(
    ({ workload, roles, isPrivate }) =>
      workload === run.workload && (isPrivate || run.isPrivate) && canonicalJson(roles) !== canonicalJson(run.roles),
  );
  const keys = [...new Set([...Object.keys(run.roles), ...Object.keys(other?.roles ?? {})])].sort();
  const changed = other === undefined ? keys : keys.filter((key) => run.roles[key] !== other.roles[key]);
  const shown = (roles: Hyper) => changed.map((key) => `${key}=${roles[key] ?? 'nothing'}`).join(', ') || 'no settings';
  const since = other === undefined ? '' : ` (as in run ${other.run}, begun here before)`;
  return {
    ok: other === undefined,
    expected: `${shown(other?.roles ?? run.roles)}${since}`,
    got: shown(run.roles),
    next: "set them as before in the run's hyper, or set this key to plan in the site's policy",
  };
}
