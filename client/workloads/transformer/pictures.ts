/** What the transformer leaves for a person: a page that it wrote, and what its heads look at in a line it never saw. */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../../shared/rng.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { ALPHABET, decodeText, type TextData } from '../../data/text.js';
import { svgArtefact } from '../../pictures/artefact.js';
import { type AttentionHead, attentionPicture } from '../../pictures/attention.js';
import { uploadTensors } from '../../training/evaluate.js';
import type { Artefact } from '../../workload.js';
import { type Constants, transformerLogits } from './model.js';

export interface WriterContext {
  readonly shared: HostTensors;
  readonly text: TextData;
  /** Made inside a tidy, for windows of the data's context. */
  readonly constants: () => Constants;
}

/** How freely each text is drawn: logits are divided by it. */
const TEMPERATURES = [0.5, 0.8, 1];
/** Characters that are written, in contexts. */
const CONTEXTS = 6;
/** Characters of the line in the picture. */
const LINE = 32;

/** One text for each temperature, all begun by the first characters of the first test window. */
export async function writingArtefact(about: WriterContext, rng: Rng): Promise<Artefact> {
  const { text } = about;
  const start = text.test.starts[0];
  const prompt = text.codes.subarray(start, start + Math.min(LINE, text.context));
  const texts = await write(about, prompt, rng);
  const parts = texts.map((codes, i) => {
    const written = decodeText(codes.slice(prompt.length));
    return `--- temperature ${TEMPERATURES[i]} ---\n[${decodeText(prompt)}]${written}\n`;
  });
  const bytes = new TextEncoder().encode(parts.join('\n'));
  return { path: 'writing.txt', mime: 'text/plain', title: 'Written by the final model (prompt in brackets)', bytes };
}

async function write(about: WriterContext, prompt: Uint8Array, rng: Rng): Promise<number[][]> {
  const { context } = about.text;
  const texts = TEMPERATURES.map(() => Array.from(prompt));
  const params = uploadTensors(about.shared);
  try {
    for (let step = 0; step < CONTEXTS * context; step++) {
      const used = Math.min(texts[0].length, context);
      const logits = tf.tidy(() => {
        const windows = texts.flatMap((text) => [...text.slice(-context), ...Array<number>(context - used).fill(0)]);
        const characters = tf.tensor2d(Int32Array.from(windows), [texts.length, context], 'int32');
        const all = transformerLogits(params, characters, about.constants());
        const last = texts.map((_, i) => i * context + used - 1); // what pads lies ahead, so it is not looked at
        return tf.gather(all, tf.tensor1d(last, 'int32'));
      });
      const values = await logits.data();
      logits.dispose();
      for (const [i, text] of texts.entries()) {
        const row = values.subarray(i * ALPHABET.length, (i + 1) * ALPHABET.length);
        text.push(draw(row, TEMPERATURES[i], rng));
      }
    }
  } finally {
    tf.dispose(params);
  }
  return texts;
}

/** A position, in proportion to exp(logits / temperature). */
function draw(logits: ArrayLike<number>, temperature: number, rng: Rng): number {
  const scaled = Array.from(logits, (logit) => logit / temperature);
  const largest = Math.max(...scaled);
  const shares = scaled.map((value) => Math.exp(value - largest));
  let mark = rng.uniform() * shares.reduce((sum, share) => sum + share, 0);
  for (const [code, share] of shares.entries()) {
    mark -= share;
    if (mark < 0) return code;
  }
  return shares.length - 1; // rounding may leave the mark at 0
}

/** The first characters of the middle test window, seen by every head of every layer. */
export async function attentionArtefact({ shared, text, constants }: WriterContext): Promise<Artefact> {
  const { context } = text;
  const start = text.test.starts[Math.floor(text.test.count / 2)];
  const line = Math.min(LINE, context);
  const layers = tf.tidy(() => {
    const weights: tf.Tensor[] = [];
    const codes = Int32Array.from(text.codes.subarray(start, start + context));
    const characters = tf.tensor2d(codes, [1, context], 'int32');
    transformerLogits(uploadTensors(shared), characters, constants(), (layer) => weights.push(layer));
    return weights.map((layer) => tf.slice(layer, [0, 0, 0, 0], [1, layer.shape[1] as number, line, line]));
  });
  const heads: AttentionHead[] = [];
  let columns = 1;
  for (const [layer, weights] of layers.entries()) {
    const values = await weights.data<'float32'>();
    columns = weights.shape[1] as number;
    for (let head = 0; head < columns; head++) {
      const size = line * line;
      heads.push({
        name: `layer ${layer + 1} head ${head + 1}`,
        weights: values.slice(head * size, (head + 1) * size),
      });
    }
  }
  tf.dispose(layers);
  const seen = decodeText(text.codes.subarray(start, start + line)).replaceAll('\n', ' ');
  const drawn = attentionPicture(
    'where each character looks (row: reader, column: read)',
    seen,
    heads,
    Math.min(2, columns),
  );
  return svgArtefact('attention', 'Attention on a held-out line', drawn);
}
