/**
 * `starling client run`: a lab's machine at work. It connects outwards only, trains in a worker thread so that the
 * connection stays alive, and survives being killed.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { systemClock } from '../shared/clock.js';
import { removeTemporaries } from '../shared/disk/aside.js';
import { lockDirectory } from '../shared/disk/lock.js';
import { fromHex } from '../shared/hex.js';
import { rngFromEntropy } from '../shared/rng.js';
import type { RoundPlan } from '../shared/run/plan.js';
import { parseEnrolment } from '../shared/signing/enrolment-file.js';
import { identityFromSeed } from '../shared/signing/identity.js';
import { checkEd25519Key } from '../shared/signing/strict.js';
import { membershipIn, SECAGG_FOLDER, seedIn } from './directory.js';
import { keysIn, noteKey } from './former-keys.js';
import { MEMBERSHIP_FILE, type Membership, membershipDirectory } from './join.js';
import { linkOf } from './link.js';
import { policyDigest } from './policy/digest.js';
import { readPolicy } from './policy/file.js';
import { ledgerModelsOf, openSitePolicy, type SitePolicy } from './policy/site.js';
import { endRotation } from './rotate-key.js';
import { Participant } from './round/participant.js';
import {
  budgetDeclineReasonOf,
  crowdOf,
  POLICY_DEFAULTS,
  type Policy,
  secaggPolicyOf,
  siteRulesOf,
} from './round/policy.js';
import type { PrivacySite } from './round/privatize.js';
import { taskOf } from './round/session.js';
import { fileFollowed } from './store/followed.js';
import { ledgerHeads } from './store/ledger-heads.js';
import { fileOpenings, OPENINGS_FILE } from './store/openings.js';
import { openAccount, type PrivacyAccount } from './store/privacy-account.js';
import { fileReleases } from './store/releases.js';
import { fileSecaggStore } from './store/secagg.js';
import { openSiteLog, type SiteLog } from './store/site-log.js';
import { fileStore } from './store/updates.js';
import { takingPart } from './taking-part.js';
import { createTrainerPool } from './training/pool.js';
import { codesOf } from './workloads/code.js';

/** What the command line says of a client. */
export interface RunClientOptions {
  readonly clientsDir: string;
  /** Which membership; needed when this machine has several. */
  readonly name?: string;
  readonly policyFile?: string;
  readonly dataDir?: string;
  readonly slice?: { readonly index: number; readonly count: number };
  readonly backend?: string;
  /** Workloads that are no built-in ones: files whose default export is one. */
  readonly workloadModules: Readonly<Record<string, string>>;
  readonly version: string;
  readonly say: (line: string) => void;
}

/** A client at work, in its directory. */
export interface RunningClient {
  readonly directory: string;
  /** Rejects when the coordinator refuses this client for good or its machine's disk fails: nothing is left but `stop`. */
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

/** Runs until `stop`. @throws FlError corrupt, naming a file of its directory that is not what this client wrote */
export async function runClient(options: RunClientOptions): Promise<RunningClient> {
  const directory = await membershipDirectory(options);
  const unlock = lockDirectory(directory);
  await removeHalfWritten(directory, options.say);
  const joined = await membershipIn(directory);
  await endRotation(directory, joined);
  const signingSeed = await seedIn(directory);
  const identity = identityFromSeed(signingSeed);
  const { policyFile, dataDir, slice, backend, workloadModules, say, version } = options;
  const policy = policyFile === undefined ? POLICY_DEFAULTS : await readPolicy(policyFile);
  const enrolled = await enrolmentOf(policy, policyFile);
  say(crowdOf(policy));
  const trainer = await createTrainerPool({ workers: 1, workloadModules, dataDir, backend });
  say(`back end ${trainer.backend.name}: ${trainer.backend.why}`);
  const notice = (message: string, fields: object) => say(`${joined.client}: ${message} ${JSON.stringify(fields)}`);
  const siteLog = await openSiteLog(directory, { identity, clock: systemClock });
  await noteKey(directory, identity.publicKey);
  const keys = await keysIn(directory, identity.publicKey);
  const account = await openAccount(directory, { identity, keys, delta: policy.delta });
  const ledgerModels = await ledgerModelsOf(policy, policyFile);
  const site = await openSitePolicy(policy, {
    ...{ directory, workloadModules, clock: systemClock, ledgerModels },
    budget: (plan, isBegun) => (isSpending(plan) ? budgetDeclineReasonOf(policy, plan, account, isBegun) : undefined),
  });
  const told = toldBy(account, siteLog, (line) => say(`${joined.client}: ${line}`));
  const take = async (membership: Membership, handedOver: (key: Uint8Array) => void) => {
    const coordinatorKey = coordinatorKeyOf(membership);
    const service = await linkOf(directory, membership, { seed: signingSeed, coordinatorKey, notice });
    const participant = await Participant.start({
      ...{ service, client: membership.client, identity, handedOver },
      secure: {
        signingSeed,
        policy: secaggPolicyOf(policy),
        minDifference: policy['min-difference'],
        openings: await fileOpenings(join(options.clientsDir, OPENINGS_FILE)),
        rng: rngFromEntropy(),
        enrolled,
        store: await fileSecaggStore(join(directory, SECAGG_FOLDER)),
      },
      coordinatorKey,
      store: await fileStore(directory),
      keepHead: await ledgerHeads(directory),
      followed: await fileFollowed(directory),
      siteLog,
      trainer,
      privacy: await openPrivacySite(directory, told),
      slice,
      site: siteRulesOf(policy),
      declineReason: (plan) => refusalBy(site, plan),
      ...{ clock: systemClock, rng: rngFromEntropy(), version, notice },
      policy: policyDigest(identity, { policy, ledgerModels, workloads: await codesOf(workloadModules), version }),
      answered: (plan) => say(`${membership.client}: ${answeredLine(plan, account, policy)}`),
    });
    const stop = () => {
      participant.stop();
      service.close();
    };
    return { done: participant.done, stop };
  };
  const part = await takingPart(take, { directory, joined, siteLog });
  const close = async () => {
    await part.stop();
    await trainer.close();
    unlock();
  };
  return { directory, done: part.done, stop: close };
}

async function refusalBy(site: Pick<SitePolicy, 'declineReason'>, plan: RoundPlan) {
  const detail = await site.declineReason(plan);
  return detail === undefined ? undefined : { reason: 'refused' as const, detail };
}

/** Which round it was and, where examples are charged, what one has been charged over all runs. */
function answeredLine(plan: RoundPlan, { epsilon, delta }: PrivacyAccount, policy: Policy): string {
  const { run, kind, round, work } = plan;
  const how = work.secure === undefined ? 'in the clear' : 'under a mask';
  const did = kind === 'train' ? `trained, and gave its update ${how}` : `evaluated, and gave its figures ${how}`;
  const limit = policy['max-epsilon'] === undefined ? '' : ` of at most ${policy['max-epsilon']}`;
  const spent = epsilon === 0 ? '' : `; epsilon ${Number(epsilon.toPrecision(4))}${limit} at delta ${delta} so far`;
  return `round ${round} of ${work.rounds} of ${run}: ${did}${spent}`;
}

/** Test figures without noise are in nobody's account. */
function isSpending({ kind, work }: RoundPlan): boolean {
  return kind === 'train' || work.privacy?.tests !== undefined;
}

/** What a kill left of files that were being written may be keys or updates. */
async function removeHalfWritten(directory: string, say: (line: string) => void): Promise<void> {
  for (const folder of ['.', SECAGG_FOLDER, 'updates', 'own', 'releases']) {
    for (const name of await removeTemporaries(join(directory, folder))) {
      say(`removed ${join(directory, folder, name)}: half written`);
    }
  }
}

/** Noise from fresh bytes of the system, which nothing keeps, and the folder of what was released. */
export async function openPrivacySite(
  directory: string,
  account: NonNullable<PrivacySite['account']>,
): Promise<PrivacySite> {
  return { noiseOf: () => rngFromEntropy(), releases: await fileReleases(join(directory, 'releases')), account };
}

function coordinatorKeyOf({ coordinatorKey }: Membership): Uint8Array {
  return checkEd25519Key(`${MEMBERSHIP_FILE}: coordinatorKey`, fromHex(coordinatorKey));
}

/** The account, which says what one example has been charged whenever that grows. */
function toldBy(
  account: PrivacyAccount,
  siteLog: SiteLog,
  say: (line: string) => void,
): NonNullable<PrivacySite['account']> {
  return {
    isCharged: account.isCharged,
    async charge(plan) {
      const before = account.epsilon;
      await account.charge(plan);
      if (account.epsilon === before) return;
      const { epsilon: charged, delta } = account;
      await siteLog.add({ event: 'charged', ...taskOf(plan), epsilon: charged, delta });
      const epsilon = Number(charged.toPrecision(4));
      say(`privacy: one example here has been charged epsilon ${epsilon} at delta ${delta}, over all runs`);
    },
  };
}

/** The list that the policy names, beside the policy. */
async function enrolmentOf(
  { enrolment }: Policy,
  policyFile = '',
): Promise<ReadonlyMap<string, Uint8Array> | undefined> {
  if (enrolment === undefined) return undefined;
  const path = resolve(dirname(policyFile), enrolment);
  const keys = parseEnrolment(await readFile(path, 'utf8'), path);
  return new Map([...keys].map(([client, key]) => [client, fromHex(key)]));
}
