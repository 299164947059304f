/**
 * The bad network of the benchmarks, for tests.
 */
export { DelayProxy, type Direction, type ProxyOptions } from '../../simulations/bench/delay-proxy.js';
