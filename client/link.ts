/** A client's way to its coordinator, as its directory says: plaintext, a certificate that is renewed, or its site's files. */
import { addressesIn } from './addresses.js';
import { renewalIn } from './certificate.js';
import { connectGrpc, type GrpcParticipant } from './grpc/participant.js';
import type { Membership } from './join.js';
import { siteTls } from './site-certificates.js';

/** Not connected before its first call; `close` ends renewal, too. @throws FlError corrupt: a certificate that is none */
export async function linkOf(
  directory: string,
  membership: Membership,
  deps: {
    readonly seed: Uint8Array;
    readonly coordinatorKey: Uint8Array;
    readonly notice: (message: string, fields: object) => void;
  },
): Promise<GrpcParticipant> {
  const { client, siteFiles } = membership;
  const renewal = await renewalIn(directory, { ...deps, client });
  const tls = siteFiles === undefined ? renewal?.current : siteTls(siteFiles);
  const addresses = addressesIn(directory, membership, deps);
  const service = connectGrpc(addresses.current, tls && { tls });
  renewal?.start(service);
  const { close, connect } = service;
  service.connect = (toClient) => addresses.connect(connect, toClient);
  service.close = () => {
    renewal?.stop();
    close();
  };
  return service;
}
