/** What a site keeps to itself of why its training failed, also in a run that protects nobody. */

/** What the coordinator is told instead. */
export const DATA_AT_FAULT = "an example here is not finite; which one is in the site's own log";
/** How what data-fault.ts says begins. */
const OF_EXAMPLE = /^(an input|the loss) of (test )?example \d/;

/** What may leave a site of why its training failed in the clear: nothing that names an example or a step. */
export function withoutExamples(why: string): string {
  return OF_EXAMPLE.test(why) ? DATA_AT_FAULT : why.replace(/ at step \d+ of round/, ' in round');
}
