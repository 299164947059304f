/** What a machine's disk or limits fail with, told from what a run fails with, and what a person does about each. */
import { FlError } from '../errors.js';

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: 'free space on the disk',
  EDQUOT: 'free space, or raise the quota',
  EFBIG: 'raise the limit of file sizes (ulimit -f)',
  EMFILE: 'raise the limit of open files (ulimit -n)',
  ENFILE: "raise the system's limit of open files",
  EROFS: 'mount the disk so that it can be written',
  EIO: 'check the disk',
};

/** What mends the machine that `thrown`, or what caused it, speaks of; undefined: it is no fault of a machine. */
export function adviceOn(thrown: unknown): string | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (Object.hasOwn(ADVICE, code)) return ADVICE[code];
  }
  return undefined;
}

/** `thrown` with its place before it: a run, a file. Its code stays. */
export function faultOf(where: string, thrown: unknown): FlError {
  const error = FlError.from(thrown);
  return new FlError(error.code, `${where}: ${error.message}`, { cause: error });
}
