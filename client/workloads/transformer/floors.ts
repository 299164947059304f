/**
 * What a language model has to be better than: how often each character occurs, whatever came before; how often it follows
 * the last one, which is all that a softmax layer on the last character can learn; and how often it follows the last two.
 * Shares of the longer context are mixed with those of the shorter one by what the longer has been seen (Witten and Bell
 * 1991): a context that was seen n times and followed by t kinds of characters weighs n / (n + t).
 */
import type { SumMetrics } from '../../../shared/run/metrics.js';
import { ALPHABET } from '../../data/text.js';
import type { Floor, FloorContext, FloorJudge } from '../../workload.js';
import type { TransformerData } from './index.js';

const SIZE = ALPHABET.length;

/** Rows `floor/unigram`, `floor/bigram` and `floor/trigram`. */
export const transformerFloors: readonly Floor<TransformerData>[] = [
  { name: 'unigram', label: 'how often each character occurs', kind: 'trivial', fit: (context) => fitted(context, 0) },
  { name: 'bigram', label: 'bigram', kind: 'raw-features', fit: (context) => fitted(context, 1) },
  { name: 'trigram', label: 'trigram', kind: 'classical', fit: (context) => fitted(context, 2) },
];

/** Counts of what followed each context of so many characters: [SIZE ** order · SIZE]. */
type Counts = Float64Array;

function fitted({ data, shards }: FloorContext<TransformerData>, order: number): FloorJudge {
  const { codes, context, train, test } = data.text;
  const counts: Counts[] = Array.from({ length: order + 1 }, (_, k) => new Float64Array(SIZE ** (k + 1)));
  // Of a window the first characters have a shorter past than a model of this order would use, as they have for the network.
  const eachOf = (start: number, visit: (past: number, at: number) => void) => {
    for (let i = 1; i <= context; i++) visit(Math.min(i, order), start + i);
  };
  for (const { train: own } of shards) {
    for (const index of own) {
      eachOf(train.starts[index], (past, at) => {
        for (let k = 0; k <= past; k++) counts[k][contextAt(codes, at, k) * SIZE + codes[at]]++;
      });
    }
  }
  return ({ test: own }): SumMetrics => {
    let [loss, right] = [0, 0];
    for (const index of own) {
      eachOf(test.starts[index], (past, at) => {
        const shares = sharesAfter(counts, codes, at, past);
        loss -= Math.log(shares[codes[at]]);
        if (shares.indexOf(Math.max(...shares)) === codes[at]) right++;
      });
    }
    return {
      loss: { sum: [loss / context], count: own.length },
      accuracy: { sum: [right / context], count: own.length },
    };
  };
}

/** The `order` characters before `at` as one number. */
function contextAt(codes: Uint8Array, at: number, order: number): number {
  let number = 0;
  for (let k = order; k >= 1; k--) number = number * SIZE + codes[at - k];
  return number;
}

/** The probability of each character to stand at `at`. */
function sharesAfter(counts: readonly Counts[], codes: Uint8Array, at: number, past: number): Float64Array {
  let shares = new Float64Array(SIZE).fill(1 / SIZE);
  for (let order = 0; order <= past; order++) {
    const first = contextAt(codes, at, order) * SIZE;
    const seen = counts[order].subarray(first, first + SIZE);
    const total = seen.reduce((sum, count) => sum + count, 0);
    const kinds = seen.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
    if (total === 0) break;
    shares = shares.map((shorter, c) => (seen[c] + kinds * shorter) / (total + kinds));
  }
  return shares;
}
