/** Counts the transcendental functions that something evaluates, so that work is bounded without a clock. */

const NAMES = ['exp', 'expm1', 'log', 'log1p', 'cos', 'sin', 'atan2', 'sqrt'] as const;

/**
 * How often `run` calls Math.exp and its like, and what it returns; put back when it ends.
 * @throws Error as soon as there are more than `most`, so that work without bound ends too
 */
export function countedMath<T>(most: number, run: () => T): { readonly calls: number; readonly result: T } {
  const math = Math as unknown as Record<string, (...args: number[]) => number>;
  const kept = NAMES.map((name) => math[name]);
  let calls = 0;
  NAMES.forEach((name, i) => {
    math[name] = (...args) => {
      if (++calls > most) throw new Error(`more than ${most} evaluations`);
      return kept[i](...args);
    };
  });
  try {
    return { result: run(), calls };
  } finally {
    NAMES.forEach((name, i) => {
      math[name] = kept[i];
    });
  }
}
