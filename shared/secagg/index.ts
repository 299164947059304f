/**
 * Secure aggregation that holds against a lying coordinator: SecAgg+ (Bell et al., CCS 2020) with double masking, a signed
 * roster, and a consistency phase. What is promised and what is not: docs/secure-aggregation.md.
 */

export type { ClientCheck, RefusalReason, SecaggAbortReason, SecaggDropReason } from './checks.js';
export { CLIENT_CHECKS } from './checks.js';
// The two machines.
export { startClient, stepClient } from './client/machine.js';
export type {
  ClientContext,
  ClientInput,
  ClientOutput,
  ClientPhase,
  ClientPolicy,
  ClientState,
  ClientStep,
} from './client/state.js';
export { summedKeys } from './client/summed.js';
export { DEFAULT_POLICY, LIMIT } from './constants.js';
export type { Enrolment } from './enrolment.js';
export { createEnrolment } from './enrolment.js';
export type { FrameType } from './frames.js';
export type { Adversary, GraphParameters, ThreatModel } from './graph.js';
// Degree and threshold.
export { graphParameters, hararyParameters } from './graph.js';
export { assignGroups, trimmedMean } from './groups.js';
export type { Kernel, Sign } from './kernel.js';
export { createKernel } from './kernel.js';
export type { AggregationContext, SecaggParams } from './params.js';
// Agree on an aggregation: parameters, who may take part, with which cryptography.
export { aggregationIdOf, encodeParams, paramsFault } from './params.js';
export type { SumProof, SumProofBody, SumProofFault } from './proof.js';
// After the round.
export { contradictions, signSumProof, sumProofFault } from './proof.js';
export type { Contribution, QuantizeSpec, WeightedSum } from './quantize.js';
// Vectors: floats to ring elements, the running sum, and back.
export { dequantize, elementsOf, factorsOf, quantize, ringFor, stepsOf } from './quantize.js';
export type { RingSpec } from './ring.js';
export { chooseRing, ringMayWrap } from './ring.js';
export { restoreState, saveState } from './serialise.js';
export { startServer, stepServer } from './server/machine.js';
export type {
  MaskTerm,
  ServerContext,
  ServerInput,
  ServerOutput,
  ServerPhase,
  ServerState,
  ServerStep,
} from './server/state.js';
export type { CryptoSuite, Keystream, SuiteId } from './suite.js';
export { naclSuite } from './suites/nacl.js';
export { nodeSuite } from './suites/node.js';
export { RANGE_ELEMENTS, unmaskRange, unmaskSum } from './unmask.js';
