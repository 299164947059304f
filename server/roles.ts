/**
 * Which calls of an operator each role may make: the one table. What has no row is for `admin` alone, so that a call that is
 * new is shut until somebody has thought of it; test/secure/roles.spec.ts goes through all of them.
 */
import type { Role } from '../shared/people.js';

const EVERYBODY: readonly Role[] = ['viewer', 'operator', 'auditor'];

/** By the name of the call in proto/starling/v1/admin.proto; `admin` may make each. */
const CALLS: Readonly<Record<string, readonly Role[]>> = {
  ListClients: EVERYBODY,
  ListRuns: EVERYBODY,
  GetRun: EVERYBODY,
  WatchRun: EVERYBODY,
  RenewAccount: EVERYBODY,
  StartRun: ['operator'],
  StopRun: ['operator'],
  ResumeRun: ['operator'],
  ArchiveRun: ['operator'],
  RepairRun: ['operator'],
  ListTokens: ['auditor'],
  ListAccounts: ['auditor'],
};

/** The roles that may make a call, `admin` last. */
export function rolesOf(call: string): readonly Role[] {
  return [...(Object.hasOwn(CALLS, call) ? CALLS[call] : []), 'admin'];
}

/** A call that a viewer may make changes nothing. */
export function isChange(call: string): boolean {
  return !rolesOf(call).includes('viewer');
}
