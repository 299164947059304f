/**
 * Settings of gRPC and HTTP/2 that both ends of a connection have to agree on, or that only work when both have them.
 */
import { MAX_MESSAGE_BYTES } from '../service.js';

/**
 * HTTP/2 flow-control window, of a stream and of the connection. A sender may have this much under way, so throughput is
 * at most window / round trip: the standard's 64 KiB make 1 MB/s at 50 ms, 16 MiB make 335.
 */
export const WINDOW_BYTES = 16 * 1024 * 1024;

/** Without pings a link that swallows packets is never noticed. Both sides ping, also when no call is open. */
export interface Keepalive {
  /** Silence after which a ping is sent. */
  readonly timeMs: number;
  /** Silence after that ping after which the connection is closed. */
  readonly timeoutMs: number;
}

/** A dead link is noticed within half a minute. */
export const KEEPALIVE: Keepalive = { timeMs: 20_000, timeoutMs: 10_000 };

/** Request or response metadata, as HTTP/2 counts it; more is refused by the HTTP/2 layer. */
export const MAX_METADATA_BYTES = 8 * 1024;

/** Options that grpc-js takes on either side. */
export function commonOptions(keepalive: Keepalive): Record<string, number> {
  return {
    'grpc.keepalive_time_ms': keepalive.timeMs,
    'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  };
}
