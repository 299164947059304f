/**
 * Preloaded into a process of Starling (node --import): while the file that BAD_DISK names is there, writes or syncs of some
 * files fail as they would on a bad disk. It has one line of JSON: {"calls": ["datasync"], "files": "journal\\.log$",
 * "code": "EIO"}.
 */
import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

interface Fault {
  readonly calls: readonly string[];
  readonly files: string;
  readonly code: string;
}

const faultFile = process.env.BAD_DISK;
const CALLS = ['write', 'datasync', 'sync', 'truncate'];

if (faultFile !== undefined) {
  const probe = await promises.open(fs.realpathSync(process.execPath));
  await probe.close();
  const paths = new WeakMap<object, string>();
  const { open } = promises;
  promises.open = async (path, ...rest) => {
    const handle = await open(path, ...rest);
    paths.set(handle, String(path));
    return handle;
  };
  const methods = Object.getPrototypeOf(probe) as Record<string, (...args: unknown[]) => unknown>;
  for (const name of CALLS) {
    const act = methods[name];
    methods[name] = function (this: object, ...args: unknown[]) {
      const fault = faultIn(faultFile);
      if (!fault?.calls.includes(name) || !new RegExp(fault.files).test(paths.get(this) ?? ''))
        return act.apply(this, args);
      const { code } = fault;
      return Promise.reject(Object.assign(new Error(`${code}: as the test has it, ${name}`), { code }));
    };
  }
  syncBuiltinESMExports();
}

function faultIn(path: string): Fault | undefined {
  try {
    return JSON.parse(fs.readFileSync(path, 'utf8')) as Fault;
  } catch {
    return undefined;
  }
}
