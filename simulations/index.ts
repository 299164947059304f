/**
 * `starling-fl`: what a researcher needs. The sides have entry points of their own: `starling-fl/server`,
 * `starling-fl/client`, `starling-fl/workloads`.
 */

// Writing a workload.
export * from '../client/workloads/index.js';
// The words of a run.
export { type DropReason, FlError, type FlErrorCode } from '../shared/errors.js';
export { type Rng, rngFromEntropy, rngFromSeed } from '../shared/rng.js';
export type { RoundPlan } from '../shared/run/plan.js';
export type { Report } from '../shared/run/report.js';
export type { Config } from '../shared/run/settings.js';
export type { RunSpec, TrainingSpec } from '../shared/run/spec.js';
export type { RoundSummary, RunStatus } from '../shared/run/summary.js';
export { checkConfig, resolve } from './config/resolve.js';
export type { SimulationResult } from './finish-run.js';
export { type FederationOptions, runFederation } from './local-deployment.js';
export { type SimulationOptions, simulate } from './simulate.js';
