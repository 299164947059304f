/**
 * What a client says of a failure, as far as it decides whether the round is tried again. In the clear it says what failed, and
 * whether that is its code, data or settings, which are the same in the next attempt. In a run that protects its clients it
 * says one sentence, of whatever cause: an attempt that a restored coordinator has forgotten fails so, too, and the next may
 * not, so there it takes two of them.
 */

/** Ends the detail of a failure that no other attempt changes. */
export const FAILS_ALIKE = 'another attempt would fail alike';

/** All that leaves of a failure in a protected run, whatever its cause: who makes the plan may choose what causes one. */
export const FAILED = "the cause is in the site's own log";
