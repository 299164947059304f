/**
 * Loaded before all specs (.mocharc.json): fast-check draws from a fixed seed and not from the time of day, so that a run
 * today tests what it tested yesterday. `PROPERTY_SEED=7 npm test` looks elsewhere.
 */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env.PROPERTY_SEED ?? 1) });
