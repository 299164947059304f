/**
 * `starling-fl/client`: take part from your own program, or train without a federation.
 */

// Training.
export { type Backend, type BackendName, probeBackends, selectBackend } from './backends/index.js';
// Data.
export { DATA_SETS, dataStatus, findData, getData } from './data/index.js';
// Taking part.
export { connectGrpc, type GrpcParticipant } from './grpc/participant.js';
export { joinClient, type Membership } from './join.js';
export { Participant, type ParticipantOptions } from './round/participant.js';
export { allowAll, declineReasonOf, POLICY_DEFAULTS, type Policy, parsePolicy } from './round/policy.js';
export { type RunClientOptions, runClient } from './run.js';
export { type ClientStore, fileStore, memoryStore } from './store/updates.js';
export { createTrainerPool, type PoolOptions, type TrainerPool } from './training/pool.js';
export { createTaskRunner, type TaskRunner } from './training/task.js';
