/** Who makes an operator's call, and whether its role allows it: checked here for every call. */
import { FlError } from '../../shared/errors.js';
import type { Account } from '../../shared/people.js';
import { AUTHORIZATION_KEY } from '../../shared/wire/status.js';
import { rolesOf } from '../roles.js';
import type { GuardedCall } from './call.js';
import type { Peers } from './peers.js';

/** Whose a token is. */
export interface AccountBook {
  accountOf(token: string): Account | undefined;
}

/** Lets calls through, or not. */
export interface OperatorGuard {
  /** @throws FlError permission-denied: nobody's token, another's certificate, or a role that may not */
  check(call: GuardedCall, name: string): Account;
  /**
   * Carries out `act` in the name of whoever makes the call.
   * @throws FlError as `check`; and what `act` throws
   */
  run<Result>(call: GuardedCall, name: string, act: (account: Account) => Promise<Result>): Promise<Result>;
}

/** @param known hears whose call it was, before it is carried out */
export function guardOf(
  accounts: AccountBook,
  peers: Pick<Peers, 'checkOperator'>,
  known: (peer: string) => void,
): OperatorGuard {
  const check = (call: GuardedCall, name: string): Account => {
    const account = accountOf(call, accounts, peers);
    known(call.getPeer());
    checkRole(account, name);
    return account;
  };
  return { check, run: async (call, name, act) => act(check(call, name)) };
}

function accountOf(call: GuardedCall, accounts: AccountBook, peers: Pick<Peers, 'checkOperator'>): Account {
  const shown = peers.checkOperator(call);
  const [value] = call.metadata.get(AUTHORIZATION_KEY);
  const account = accounts.accountOf(String(value).replace(/^Bearer /, ''));
  if (account === undefined) {
    const expected = 'the admin token of this coordinator, or that of an account';
    throw new FlError('permission-denied', `${AUTHORIZATION_KEY}: expected ${expected}, got another`);
  }
  if (shown !== undefined && shown !== account.name) {
    const message = `certificate: expected that of the account "${account.name}", got that of "${shown}"`;
    throw new FlError('permission-denied', message);
  }
  return account;
}

function checkRole({ name, role }: Account, call: string): void {
  const roles = rolesOf(call);
  if (roles.includes(role)) return;
  const expected = `an account that is ${roles.join(' or ')}`;
  throw new FlError('permission-denied', `${call}: expected ${expected}, got "${name}", which is ${role}`);
}
