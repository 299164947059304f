/** The way to a coordinator on this machine: its data directory says where it listens. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GrpcAdmin } from '../client/grpc/admin.js';
import type { ClientTls } from '../client/grpc/tls.js';
import { ADDRESS_FILE, ADMIN_TOKEN_FILE, OPERATOR_FILE } from '../server/data-dir.js';
import { coordinatorDir } from '../shared/disk/home.js';
import { keyring, opened } from '../shared/disk/secrets.js';
import { FlError } from '../shared/errors.js';
import type { AccountKey } from '../shared/people.js';
import { isSealed } from '../shared/signing/sealed.js';
import { certificatesIn, OPERATOR_SERVER_NAME } from '../shared/tls/subject.js';

/** Which coordinator, and as whom. */
interface Where {
  readonly dataDir?: string;
  /** The file of `starling account add`; absent, and without a data directory: $STARLING_CREDENTIAL, if it is set. */
  readonly credential?: string;
}

/**
 * A connection for the operator: as who has the data directory, or by the credential of an account.
 * @throws FlError not-found: no coordinator has been started there · invalid-argument: no credential
 */
export async function openAdmin({ dataDir, credential = fromEnvironment(dataDir) }: Where): Promise<GrpcAdmin> {
  const { connectAdmin } = await import('../client/grpc/admin.js');
  if (credential !== undefined) {
    const { address, token, tls } = await readCredential(credential);
    return connectAdmin(address, token, tls === '' ? {} : { tls: () => operatorTls(tls) });
  }
  const directory = coordinatorDir(dataDir);
  const read = async (file: string) => {
    try {
      return await secretText(join(directory, file));
    } catch (cause) {
      if (cause instanceof FlError) throw cause;
      const message = `no coordinator has been started in ${directory}; first: starling coordinator --data-dir ${directory}`;
      throw new FlError('not-found', message, { cause });
    }
  };
  const [address, token] = [await read(ADDRESS_FILE), await read(ADMIN_TOKEN_FILE)];
  const operator = await secretText(join(directory, OPERATOR_FILE)).catch((thrown) => {
    if (thrown instanceof FlError) throw thrown;
    return undefined;
  });
  return connectAdmin(address, token, operator === undefined ? {} : { tls: () => operatorTls(operator) });
}

/** A coordinator seals its files itself: here they are read as they are. */
async function secretText(path: string): Promise<string> {
  const stored = await readFile(path);
  return new TextDecoder().decode(isSealed(stored) ? opened(path, stored, keyring()) : stored).trim();
}

function fromEnvironment(dataDir: string | undefined): string | undefined {
  return dataDir === undefined ? process.env.STARLING_CREDENTIAL : undefined;
}

/** @throws FlError invalid-argument: it is none */
export async function readCredential(path: string): Promise<AccountKey> {
  const refused = (got: string) =>
    new FlError('invalid-argument', `credential: expected a file of \`starling account add\`, got ${got} in ${path}`);
  let read: Partial<AccountKey>;
  try {
    read = JSON.parse(await readFile(path, 'utf8'));
  } catch (thrown) {
    throw refused((thrown as { code?: string }).code ?? 'no JSON'); // without the cause, which would quote it
  }
  const { address, token, tls } = read;
  if ([address, token, tls].every((one) => typeof one === 'string')) return read as AccountKey;
  throw refused('something else');
}

/** The key, the certificate and the authorities of the file that a coordinator with TLS leaves beside its address. */
function operatorTls(text: string): ClientTls {
  const [certificate, ...authorities] = certificatesIn(text);
  return { certificate, key: text, authorities, serverName: OPERATOR_SERVER_NAME };
}

/** Closes the connection whatever happens. */
export async function withAdmin(where: Where, use: (admin: GrpcAdmin) => Promise<void>): Promise<void> {
  const admin = await openAdmin(where);
  try {
    await use(admin);
  } catch (thrown) {
    const cause = FlError.from(thrown);
    if (cause.code !== 'unavailable') throw cause;
    const directory = where.credential ?? coordinatorDir(where.dataDir);
    const message = `the coordinator of ${directory} does not answer; is it running? (${cause.message})`;
    throw new FlError('unavailable', message, { cause });
  } finally {
    admin.close();
  }
}
