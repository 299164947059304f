/** Of how many cases a test is: some in the lane of every push, all in the long one, `npm run soak`, which sets SOAK. */

/** The first number on a push, the second in the long lane. */
export function cases(few: number, all: number): number {
  return process.env.SOAK === undefined ? few : all;
}
