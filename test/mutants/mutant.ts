/** One way of breaking a promise of ours: a text of the source, what stands there instead, and the specs that must notice. */

/** A row of the table. */
export interface Mutant {
  /** Source without `.ts`, from the root. */
  readonly file: string;
  /** Stands in the source exactly once. */
  readonly find: string;
  readonly replace: string;
  /** Without `.spec.ts`, from `test/`. */
  readonly specs: readonly string[];
  /** The promise that is broken. */
  readonly claim: string;
}

/** The promise, the text, what stands there instead, and other specs where those of the file are not the ones. */
type Row = readonly [claim: string, find: string, replace: string, own?: readonly string[]];

/** Mutants of one file, which the same specs look after. */
export function mutantsOf(file: string, specs: readonly string[], rows: readonly Row[]): Mutant[] {
  return rows.map(([claim, find, replace, own = specs]) => ({ file, find, replace, specs: own, claim }));
}
