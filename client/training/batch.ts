/** Batches of any split: of validation examples, the workload's own split of them or training examples that are held out. */
import type { Batch, BatchContext, JudgedSplit, Workload } from '../workload.js';

/** The tensors of examples of any split; what is held out of the training examples is read as these are. */
export function batchOf<Data>(
  workload: Pick<Workload<Data>, 'batch' | 'validation'>,
  data: Data,
  indices: Int32Array,
  { split, ...context }: Omit<BatchContext, 'split'> & { readonly split: JudgedSplit },
): Batch {
  if (split !== 'validation') return workload.batch(data, indices, { ...context, split });
  return (
    workload.validation?.batch(data, indices, context) ?? workload.batch(data, indices, { ...context, split: 'train' })
  );
}
