/** The way to a coordinator on this machine: its data directory says where it listens. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAdmin, type GrpcAdmin } from '../client/grpc/admin.js';
import type { ClientTls } from '../client/grpc/tls.js';
import { ADDRESS_FILE, ADMIN_TOKEN_FILE, OPERATOR_FILE } from '../server/data-dir.js';
import { coordinatorDir } from '../shared/disk/home.js';
import { FlError } from '../shared/errors.js';
import { certificatesIn, OPERATOR_SERVER_NAME } from '../shared/tls/subject.js';

interface Where {
  readonly dataDir?: string;
}

/** A connection for the operator. @throws FlError not-found: no coordinator has been started there */
export async function openAdmin({ dataDir }: Where): Promise<GrpcAdmin> {
  const directory = coordinatorDir(dataDir);
  const read = async (file: string) => {
    try {
      return (await readFile(join(directory, file), 'utf8')).trim();
    } catch (cause) {
      const message = `no coordinator has been started in ${directory}; first: starling coordinator --data-dir ${directory}`;
      throw new FlError('not-found', message, { cause });
    }
  };
  const [address, token] = [await read(ADDRESS_FILE), await read(ADMIN_TOKEN_FILE)];
  const operator = await readFile(join(directory, OPERATOR_FILE), 'utf8').catch(() => undefined);
  return connectAdmin(address, token, operator === undefined ? {} : { tls: () => operatorTls(operator) });
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
    const directory = coordinatorDir(where.dataDir);
    const message = `the coordinator of ${directory} does not answer; is it running? (${cause.message})`;
    throw new FlError('unavailable', message, { cause });
  } finally {
    admin.close();
  }
}
