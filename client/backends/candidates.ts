/**
 * The back ends that training can run on, best first: for each, whether this machine has it and how it is started. Probing
 * looks at files and, for WebGPU, asks for an adapter; only `start` imports a back end and registers it.
 */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { FlError } from '../../shared/errors.js';
import type { BACKENDS } from '../../shared/run/settings.js';
import type { Tf } from './gradients/gradient.js';
import { loadPackage, resolvePackage, restoreRemovedUtil, sharesCore } from './load.js';
import { registerWasmKernels } from './wasm/register.js';

/** The back ends by the name that a user gives. */
export type BackendName = (typeof BACKENDS)[number];

/** A back end that a machine may have. */
export interface Candidate {
  readonly name: BackendName;
  /** What TensorFlow.js calls it. */
  readonly tensorflowName: string;
  /** How to get it, as the end of a sentence. */
  readonly remedy: string;
  /** Why this machine does not have it; undefined if it does. */
  missing(): Promise<string | undefined>;
  /** Why it should be passed over unless it is asked for by name; undefined if it should not. */
  drawback?(): Promise<string | undefined>;
  /** Imports the back end and makes it current. Throws if it will not start. */
  start(tf: Tf): Promise<void>;
}

/** Best first. */
export const CANDIDATES: readonly Candidate[] = [
  native('tfjs-node-gpu', 'needs Linux, an NVIDIA GPU, CUDA 11.2 and cuDNN 8.1'),
  native('tfjs-node', 'needs to fetch libtensorflow from storage.googleapis.com while it installs'),
  {
    name: 'webgpu',
    tensorflowName: 'webgpu',
    remedy:
      'npm install webgpu@0.6.2 @tensorflow/tfjs-backend-webgpu@4.22.0, and a Vulkan, Metal or Direct3D 12 driver',
    async missing() {
      const absent = missingPackage('webgpu') ?? missingPackage('@tensorflow/tfjs-backend-webgpu');
      if (absent) return absent;
      const adapter = await (await openGpu()).requestAdapter();
      return adapter ? undefined : 'webgpu found no GPU';
    },
    async drawback() {
      const adapter = await (await openGpu()).requestAdapter();
      return adapter?.info?.isFallbackAdapter ? 'webgpu found a GPU in software only' : undefined;
    },
    async start(tf) {
      const gpu = await openGpu();
      const scope = globalThis as { navigator?: object };
      scope.navigator ??= {}; // Node 20 has none
      Object.defineProperty(scope.navigator, 'gpu', { value: gpu, configurable: true });
      await activate(tf, '@tensorflow/tfjs-backend-webgpu', 'webgpu');
    },
  },
  {
    name: 'wasm',
    tensorflowName: 'wasm',
    remedy:
      'npm install @tensorflow/tfjs-backend-wasm@4.22.0, and a Node.js whose WebAssembly has SIMD (16.4 or later)',
    missing: async () => missingPackage('@tensorflow/tfjs-backend-wasm'),
    async start(tf) {
      loadPackage('@tensorflow/tfjs-backend-wasm');
      tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false); // its threads do not start in Node, and add up in any order
      await activate(tf, '@tensorflow/tfjs-backend-wasm', 'wasm');
      registerWasmKernels(tf, tf.backend() as BackendWasm);
    },
  },
  {
    name: 'cpu',
    tensorflowName: 'cpu',
    remedy: 'npm install @tensorflow/tfjs-backend-cpu@4.22.0',
    missing: async () => missingPackage('@tensorflow/tfjs-backend-cpu'),
    start: (tf) => activate(tf, '@tensorflow/tfjs-backend-cpu', 'cpu'),
  },
];

function native(name: 'tfjs-node-gpu' | 'tfjs-node', needs: string): Candidate {
  const packageName = `@tensorflow/${name}`;
  return {
    name,
    tensorflowName: 'tensorflow',
    remedy: `npm install ${packageName}@4.22.0, which ${needs}`,
    async missing() {
      const absent = missingPackage(packageName);
      if (absent) return absent;
      return hasBinding(resolvePackage(packageName) ?? '')
        ? undefined
        : `${packageName} has no native library (its download failed)`;
    },
    async start(tf) {
      restoreRemovedUtil();
      process.env.TF_CPP_MIN_LOG_LEVEL ??= '2'; // warnings of the C++ library go to standard error
      await activate(tf, packageName, 'tensorflow');
    },
  };
}

function missingPackage(name: string): string | undefined {
  const file = resolvePackage(name);
  if (!file) return `${name} is not installed`;
  return name === 'webgpu' || sharesCore(file) ? undefined : `${name} would use another copy of @tensorflow/tfjs-core`;
}

/** The compiled part of tfjs-node lies in lib/napi-v*; it is missing if the download at installation failed. */
function hasBinding(entry: string): boolean {
  const lib = join(dirname(dirname(entry)), 'lib');
  if (!existsSync(lib)) return false;
  return readdirSync(lib).some((folder) => existsSync(join(lib, folder, 'tfjs_binding.node')));
}

interface Gpu {
  requestAdapter(): Promise<{
    readonly info?: { readonly isFallbackAdapter?: boolean; readonly device?: string };
  } | null>;
}

let gpu: Promise<Gpu> | undefined;

/** Dawn's implementation of WebGPU, one instance per process: a second one, once collected, takes the first down with it. */
function openGpu(): Promise<Gpu> {
  gpu ??= (async () => {
    const name = 'webgpu'; // not a literal, so that the compiler does not look for the optional package
    const { create, globals } = (await import(name)) as { create(flags: string[]): Gpu; globals: object };
    Object.assign(globalThis, globals); // the constants that users of WebGPU expect
    return create([]);
  })();
  return gpu;
}

async function activate(tf: Tf, packageName: string, tensorflowName: string): Promise<void> {
  loadPackage(packageName);
  if (!(await tf.setBackend(tensorflowName))) throw new FlError('internal', `TensorFlow.js has no '${tensorflowName}'`);
  await tf.ready();
}
