/** What a case of the contract is. */
import type { Tensor } from '@tensorflow/tfjs-core';

export type Tf = typeof import('@tensorflow/tfjs-core');
export type Run = (tf: Tf, ...inputs: Tensor[]) => Tensor;

export interface Options {
  /** Makes an element of the inputs from a standard normal number: where a function is defined, or off its kinks. */
  readonly draw?: (z: number, index: number) => number;
  /** Not differentiated. */
  readonly constant?: true;
  /** Products summed for one output or gradient, for the tolerance; 64 if not given. */
  readonly terms?: number;
  /** Not better than 2^-11 on a GPU, which WGSL permits for trigonometric functions. */
  readonly coarse?: true;
  /** Back ends on which TensorFlow.js itself fails here, and how. */
  readonly except?: Readonly<Record<string, string>>;
}

export interface Case extends Options {
  readonly name: string;
  /** Shapes of the inputs that are drawn, and differentiated: standard normal unless `draw` maps them. */
  readonly shapes: readonly (readonly number[])[];
  readonly run: Run;
}

export function op(name: string, shapes: readonly (readonly number[])[], run: Run, options: Options = {}): Case {
  return { name, shapes, run, ...options };
}
