/**
 * The graph in kernels that other runtimes have too: what is fused becomes its parts, and the identities of training are
 * gone.
 */
import tf = require('@tensorflow/tfjs-core');

import { GELU } from '../backends/kernel-names.js';
import { type Graph, type GraphNode, type GraphValue, notExportable } from './graph.js';

/** The same graph in plain kernels. @throws FlError failed-precondition: a fused activation that is not known */
export function plainGraph(graph: Graph): Graph {
  const values = new Map(graph.values);
  const nodes = graph.nodes.flatMap((node) => {
    const parts = PARTS[node.kernel];
    return parts === undefined ? [node] : parts(node, new Parts(values, node.output));
  });
  return { ...graph, values, nodes };
}

/** Makes the nodes that stand for one; the last one gets its output. */
class Parts {
  readonly nodes: GraphNode[] = [];

  constructor(
    readonly values: Map<string, GraphValue>,
    readonly output: string,
  ) {}

  /** The name of what the kernel gives; all parts have the shape of the whole. */
  add(kernel: string, inputs: GraphNode['inputs'], attrs: GraphNode['attrs'] = {}): string {
    const output = `${this.output}/${this.nodes.length}`;
    this.values.set(output, this.values.get(this.output) as GraphValue);
    this.nodes.push({ kernel, inputs, attrs, output });
    return output;
  }

  constant(value: number): string {
    const name = `${this.output}/constant/${value}`;
    this.values.set(name, { shape: [], dtype: 'float32', data: [value] });
    return name;
  }

  end(): GraphNode[] {
    const last = this.nodes[this.nodes.length - 1];
    this.values.delete(last.output);
    return [...this.nodes.slice(0, -1), { ...last, output: this.output }];
  }
}

const ACTIVATIONS: Readonly<Record<string, string>> = {
  relu: tf.Relu,
  relu6: tf.Relu6,
  elu: tf.Elu,
  sigmoid: tf.Sigmoid,
};

/** `kernel` of two of the inputs, and then what was fused with it. */
function unfused(kernel: string, operands: readonly string[]) {
  return ({ inputs, attrs }: GraphNode, parts: Parts): GraphNode[] => {
    const given = Object.fromEntries(operands.map((name) => [name, inputs[name]]));
    const { activation = 'linear', leakyreluAlpha: _, ...rest } = attrs;
    let last = parts.add(kernel, given, rest);
    if (inputs.bias !== undefined) last = parts.add(tf.Add, { a: last, b: inputs.bias });
    if (activation === 'linear') return parts.end();
    const applied = ACTIVATIONS[activation as string];
    if (applied === undefined) throw notExportable(`an activation among ${Object.keys(ACTIVATIONS)}`, activation);
    parts.add(applied, { x: last });
    return parts.end();
  };
}

const PARTS: Readonly<Record<string, (node: GraphNode, parts: Parts) => GraphNode[]>> = {
  [tf._FusedMatMul]: unfused(tf.BatchMatMul, ['a', 'b']),
  [tf.FusedConv2D]: unfused(tf.Conv2D, ['x', 'filter']),
  [tf.FusedDepthwiseConv2D]: unfused(tf.DepthwiseConv2dNative, ['x', 'filter']),
  /** x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), as layers.ts has it on back ends without the kernel. */
  [GELU]({ inputs: { x } }, parts) {
    const cube = parts.add(tf.Multiply, { a: parts.add(tf.Multiply, { a: x, b: x }), b: x });
    const inner = parts.add(tf.Add, { a: x, b: parts.add(tf.Multiply, { a: cube, b: parts.constant(0.044715) }) });
    const angle = parts.add(tf.Multiply, { a: inner, b: parts.constant(Math.sqrt(2 / Math.PI)) });
    const factor = parts.add(tf.Add, { a: parts.add(tf.Tanh, { x: angle }), b: parts.constant(1) });
    parts.add(tf.Multiply, { a: parts.add(tf.Multiply, { a: x, b: parts.constant(0.5) }), b: factor });
    return parts.end();
  },
};
