/** An iterable that a test feeds by hand, so that it says when each chunk comes, and how it ends. */
export interface HandFed<T> extends AsyncIterable<T> {
  push(...items: T[]): void;
  end(): void;
  fail(error: Error): void;
  /** How many items have been taken. */
  readonly taken: number;
}

export function handFed<T>(): HandFed<T> {
  const waiting: (() => Promise<IteratorResult<T>>)[] = [];
  let wake = () => {};
  let taken = 0;
  const put = (entry: () => Promise<IteratorResult<T>>) => {
    waiting.push(entry);
    wake();
  };
  return {
    push(...items) {
      for (const value of items) put(async () => ({ value, done: false }));
    },
    end: () => put(async () => ({ value: undefined, done: true })),
    fail: (error) => put(() => Promise.reject(error)),
    get taken() {
      return taken;
    },
    [Symbol.asyncIterator]: () => ({
      async next() {
        while (waiting.length === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        taken++;
        return waiting.shift()!();
      },
    }),
  };
}

/** Lets everything run that waits for nothing but its turn. */
export function turns(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
