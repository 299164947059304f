/**
 * Who makes an operator's call, and whether its role allows it: checked here for every call, and told to one listener in the
 * name of its account, whatever becomes of it.
 */
import { FlError } from '../../shared/errors.js';
import type { Account, Role } from '../../shared/people.js';
import { AUTHORIZATION_KEY } from '../../shared/wire/status.js';
import { rolesOf } from '../roles.js';
import type { GuardedCall } from './call.js';
import type { Peers } from './peers.js';

/** What an operator has asked, for a log. */
export interface AdminAction {
  /** Undefined: nobody who is known here. */
  readonly account?: string;
  readonly role?: Role;
  /** The call's name in proto/starling/v1/admin.proto. */
  readonly call: string;
  /** What it is about: a run, a client, a token; empty: nothing by name. */
  readonly about: string;
  /** ADDRESS:PORT. */
  readonly peer: string;
  readonly outcome: 'done' | 'refused' | 'failed';
  /** Why it was refused or failed, in words; empty otherwise. */
  readonly detail: string;
}

/** Whose a token is. */
export interface AccountBook {
  accountOf(token: string): Account | undefined;
}

/** Lets calls through, or not. */
export interface OperatorGuard {
  /**
   * Carries out `act` in the name of whoever makes the call; `about` is asked when it has ended.
   * @throws FlError permission-denied: nobody's token, another's certificate, or a role that may not; and what `act` throws
   */
  run<Result>(call: GuardedCall, name: string, act: () => Promise<Result>, about?: () => string): Promise<Result>;
}

/** @param listeners `onAction` hears of every call, once it has ended; `known`, whose call it was, before it is carried out */
export function guardOf(
  accounts: AccountBook,
  peers: Pick<Peers, 'checkOperator'>,
  {
    onAction = () => {},
    known,
  }: { readonly onAction?: (action: AdminAction) => void; readonly known: (peer: string) => void },
): OperatorGuard {
  return {
    async run(call, name, act, about = () => '') {
      let account: Account | undefined;
      let isAllowed = false;
      const tell = (outcome: AdminAction['outcome'], detail: string) => {
        const who = account && { account: account.name, role: account.role };
        onAction({ ...who, call: name, about: about(), peer: call.getPeer(), outcome, detail });
      };
      try {
        account = accountOf(call, accounts, peers);
        known(call.getPeer());
        checkRole(account, name);
        isAllowed = true;
        const result = await act();
        tell('done', '');
        return result;
      } catch (thrown) {
        tell(isAllowed ? 'failed' : 'refused', FlError.from(thrown).message);
        throw thrown;
      }
    },
  };
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

/** Field 1 of a request that names something is its name (protobuf's wire format: tag 0x0a, then a length below 128). */
export function nameIn(request: Uint8Array): string {
  if (request[0] !== 0x0a || request[1] > 63) return '';
  return new TextDecoder().decode(request.subarray(2, 2 + request[1])).replace(/[^a-z0-9-]/g, '');
}
