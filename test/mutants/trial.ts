/** What the lane and its judges tell each other. */

/** One run of a spec. */
export interface Trial {
  /** Without `.spec.js`, from `dist/test/`. */
  readonly spec: string;
  /** Another for each trial of a process. */
  readonly id: number;
  /** In place of one file of the build: this one. Without it the build is tried as it is. */
  readonly instead?: { readonly file: string; readonly source: string };
}

/** How it went. */
export interface Outcome {
  /** The first test that failed; none if all passed. */
  readonly failed?: string;
  /** The fault came from code of an earlier trial of this process. */
  readonly isStray: boolean;
  /** It started processes or threads, which load the build by themselves. */
  readonly hasOthers: boolean;
  readonly tookMs: number;
}
