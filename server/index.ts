/**
 * `starling-fl/server`: run a coordinator inside your own program.
 */

// The coordinator, and the way onto a network.
export { Coordinator } from './coordinator.js';
export { GRPC_LIMITS, type GrpcLimits } from './grpc/limits.js';
export { type GrpcServer, serveGrpc } from './grpc/server.js';
export { type CoordinatorProcess, startCoordinator } from './main.js';
export type { CoordinatorOptions } from './options.js';
export { Registry } from './registry.js';
// Reports.
export { buildReport, writeReport } from './report/build.js';
export { renderReport } from './report/html.js';
// Server optimizers.
export {
  parseStrategy,
  STRATEGIES,
  type Strategy,
  type StrategyFactory,
  type StrategyState,
} from './strategies/index.js';
