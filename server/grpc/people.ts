/** The operator's calls about clients and tokens over gRPC: a part of starling.v1.AdminService. */
import type { handleUnaryCall, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Account, PeopleService } from '../../shared/people.js';
import { EMPTY_MESSAGE } from '../../shared/wire/admin.js';
import * as wire from '../../shared/wire/people.js';

type Guarded = (
  method: string,
  handle: (request: Uint8Array, account: Account) => Promise<Uint8Array>,
) => handleUnaryCall<Uint8Array, Uint8Array>;

/** `guarded` refuses who may not call. */
export function peopleHandlers(people: PeopleService, guarded: Guarded): UntypedServiceImplementation {
  return {
    setStanding: guarded('SetStanding', async (request) => {
      await people.setStanding(wire.decodeStandingRequest(request));
      return EMPTY_MESSAGE;
    }),
    reEnrol: guarded('ReEnrol', async (request) =>
      wire.encodeReEnrolReply(await people.reEnrol(wire.decodeReEnrolRequest(request))),
    ),
    listTokens: guarded('ListTokens', async () => wire.encodeTokenList(await people.listTokens())),
    revokeToken: guarded('RevokeToken', async (request) => {
      await people.revokeToken(wire.decodeTokenId(request));
      return EMPTY_MESSAGE;
    }),
    addAccount: guarded('AddAccount', async (request) =>
      wire.encodeAccountKey(await people.addAccount(wire.decodeAccountRequest(request))),
    ),
    rotateAccount: guarded('RotateAccount', async (request) =>
      wire.encodeAccountKey(await people.rotateAccount(wire.decodeAccountName(request))),
    ),
    renewAccount: guarded('RenewAccount', async (_, { name }) =>
      wire.encodeAccountKey(await people.renewAccount(name)),
    ),
    listAccounts: guarded('ListAccounts', async () => wire.encodeAccountList(await people.listAccounts())),
    removeAccount: guarded('RemoveAccount', async (request) => {
      await people.removeAccount(wire.decodeAccountName(request));
      return EMPTY_MESSAGE;
    }),
  };
}
