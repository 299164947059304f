/**
 * A gRPC channel to a coordinator, with bytes for messages (shared/wire has the codecs) and FlErrors for statuses. It
 * remembers the calls that are open, so that closing it leaves nothing behind that would keep the process alive.
 */
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { FlError } from '../../shared/errors.js';
import { fingerprintOf } from '../../shared/tls/subject.js';
import { type Address, formatAddress, isIpAddress, parseAddress, parseLoopback } from '../../shared/wire/address.js';
import { CODE_KEY, codeOfStatus } from '../../shared/wire/status.js';
import { commonOptions, KEEPALIVE, type Keepalive, WINDOW_BYTES } from '../../shared/wire/tuning.js';
import { proxyFor, proxyOptions } from './proxy.js';
import { type ClientTls, secureCredentials, targetOptions } from './tls.js';

/** How long a dead or slow coordinator is waited for, and how it is known. */
export interface ChannelOptions {
  /** Absent: plaintext, to a loopback address. Asked again for each control stream, so that what was renewed is shown. */
  readonly tls?: () => ClientTls;
  readonly keepalive: Keepalive;
  /** For a call of one message each way. */
  readonly unaryDeadlineMs: number;
  /** For a whole upload or download; a dead link is noticed by keepalive long before. */
  readonly transferDeadlineMs: number;
}

const CHANNEL_OPTIONS: Omit<ChannelOptions, 'tls'> = {
  keepalive: KEEPALIVE,
  unaryDeadlineMs: 30_000,
  transferDeadlineMs: 3_600_000,
};

/** Longest wait between two attempts of gRPC to connect; whoever calls has its own back-off above it. */
const MAX_RECONNECT_MS = 5_000;

interface Cancellable {
  cancel(): void;
}

/** One connection to a coordinator, by which calls of every kind are made; closing it ends them all. */
export class Channel {
  readonly #address: () => string;
  readonly #options: ChannelOptions;
  readonly #open = new Set<Cancellable>();
  #target: Address;
  #client: Client;
  #tls: ClientTls | undefined;
  #closed = false;

  /**
   * Connects at the first call.
   * @param address HOST:PORT; a function is asked again for each control stream
   * @throws FlError failed-precondition: not a loopback address, and no TLS
   */
  constructor(address: string | (() => string), options: Partial<ChannelOptions>) {
    this.#options = { ...CHANNEL_OPTIONS, ...options };
    this.#address = typeof address === 'string' ? () => address : address;
    this.#tls = options.tls?.();
    this.#target = this.#targetNow(this.#tls);
    this.#client = clientTo(this.#target, this.#options.keepalive, this.#tls);
  }

  /** Where it leads, HOST:PORT. */
  get dialled(): string {
    return formatAddress(this.#target);
  }

  #targetNow(tls: ClientTls | undefined): Address {
    return (tls === undefined ? parseLoopback : parseAddress)('address', this.#address());
  }

  /** SHA-256 of the certificate that is shown, hex; undefined: none is. */
  get certificate(): string | undefined {
    return this.#tls?.certificate && fingerprintOf(this.#tls.certificate);
  }

  /** A control stream begins a session, so it is the moment for another connection: by another certificate, to another place. */
  #renew(): void {
    const tls = this.#options.tls?.();
    const target = this.#targetNow(tls);
    if (tls?.certificate === this.#tls?.certificate && formatAddress(target) === this.dialled) return;
    this.#client.close(); // its calls end by themselves; they are of a session that is over
    this.#tls = tls;
    this.#target = target;
    this.#client = clientTo(target, this.#options.keepalive, tls);
  }

  unary(path: string, request: Uint8Array, metadata = new Metadata()): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#checkOpen();
      const options = this.#deadline(this.#options.unaryDeadlineMs);
      const call = this.#client.makeUnaryRequest(path, toBuffer, asIs, request, metadata, options, (error, reply) => {
        this.#open.delete(call);
        if (error !== null) reject(flErrorOf(error));
        else resolve(reply ?? new Uint8Array(0));
      });
      this.#open.add(call);
    });
  }

  /** `reply` settles when the other side has answered or the call has failed, also while we are still sending. */
  clientStream(
    path: string,
    metadata: Metadata,
  ): { readonly call: ClientWritableStream<Uint8Array>; readonly reply: Promise<Uint8Array> } {
    this.#checkOpen();
    const options = this.#deadline(this.#options.transferDeadlineMs);
    let settle: { resolve(reply: Uint8Array): void; reject(error: FlError): void };
    const reply = new Promise<Uint8Array>((resolve, reject) => {
      settle = { resolve, reject };
    });
    const call = this.#client.makeClientStreamRequest<Uint8Array, Uint8Array>(
      path,
      toBuffer,
      asIs,
      metadata,
      options,
      (error, bytes) => {
        this.#open.delete(call);
        if (error !== null) settle.reject(flErrorOf(error));
        else settle.resolve(bytes ?? new Uint8Array(0));
      },
    );
    this.#open.add(call);
    // The sender may be waiting elsewhere when the call fails; whoever awaits `reply` later still gets the error.
    reply.catch(() => {});
    call.on('error', () => {});
    return { call, reply };
  }

  /** The messages of one answer as they are asked for. Leaving the loop cancels the call. */
  async *serverStream(
    path: string,
    request: Uint8Array,
    options: { readonly metadata: Metadata; readonly deadline: boolean; readonly signal?: AbortSignal },
  ): AsyncGenerator<Uint8Array, void> {
    this.#checkOpen();
    const callOptions = options.deadline ? this.#deadline(this.#options.transferDeadlineMs) : {};
    const call: ClientReadableStream<Uint8Array> = this.#client.makeServerStreamRequest(
      path,
      toBuffer,
      asIs,
      request,
      options.metadata,
      callOptions,
    );
    this.#open.add(call);
    call.on('error', () => {});
    const abort = (): void => call.cancel();
    options.signal?.addEventListener('abort', abort);
    try {
      if (options.signal?.aborted !== true) yield* call;
    } catch (thrown) {
      if (options.signal?.aborted !== true) throw flErrorOf(thrown);
    } finally {
      options.signal?.removeEventListener('abort', abort);
      this.#open.delete(call);
      call.cancel();
    }
  }

  /** A stream each way, without a deadline. */
  duplex(path: string): ClientDuplexStream<Uint8Array, Uint8Array> {
    this.#checkOpen();
    this.#renew();
    const call = this.#client.makeBidiStreamRequest<Uint8Array, Uint8Array>(path, toBuffer, asIs, new Metadata(), {});
    this.#open.add(call);
    call.on('error', () => {});
    call.once('status', () => this.#open.delete(call));
    return call;
  }

  /** Cancels what is open. Calls after this are refused. */
  close(): void {
    this.#closed = true;
    for (const call of this.#open) call.cancel();
    this.#client.close();
  }

  #deadline(afterMs: number): CallOptions {
    return { deadline: Date.now() + afterMs };
  }

  #checkOpen(): void {
    if (this.#closed) throw new FlError('aborted', 'the connection to the coordinator was closed here');
  }
}

function clientTo(target: Address, keepalive: Keepalive, tls: ClientTls | undefined): Client {
  const { host } = target;
  const proxy = tls && proxyFor(host);
  const first = proxy ?? target;
  const scheme = isIpAddress(first.host) ? (first.host.includes(':') ? 'ipv6' : 'ipv4') : 'dns';
  const shown = tls === undefined ? credentials.createInsecure() : secureCredentials(tls, host);
  return new Client(`${scheme}:${formatAddress(first)}`, shown, {
    ...(proxy && proxyOptions(proxy, target)),
    ...commonOptions(keepalive),
    ...targetOptions(host, tls),
    'grpc.keepalive_permit_without_calls': 1,
    'grpc-node.flow_control_window': WINDOW_BYTES,
    'grpc.max_reconnect_backoff_ms': MAX_RECONNECT_MS,
    // Streams are resumed by offset, not retried by gRPC, which would keep a copy of what was sent.
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    // Otherwise channels of one process share connections, and closing one leaves them open.
    'grpc.use_local_subchannel_pool': 1,
  });
}

/** The error that the coordinator threw, or what gRPC says of the connection. */
function flErrorOf(thrown: unknown): FlError {
  if (!isServiceError(thrown)) return FlError.from(thrown, 'unavailable');
  const [trailer] = thrown.metadata?.get(CODE_KEY) ?? [];
  const code = codeOfStatus(thrown.code, typeof trailer === 'string' ? trailer : undefined);
  return new FlError(code, thrown.details, { cause: thrown });
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number' && 'details' in thrown;
}

function asIs(bytes: Uint8Array): Uint8Array {
  return bytes;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Writes, waiting for room; false when the call was answered meanwhile and nothing more is wanted. */
export async function writeOrAnswered(
  call: ClientWritableStream<Uint8Array>,
  message: Uint8Array,
  reply: Promise<Uint8Array>,
): Promise<boolean> {
  if (call.write(message)) return true;
  let drain = (): void => {};
  const drained = new Promise<boolean>((resolve) => {
    drain = () => resolve(true);
    call.once('drain', drain);
  });
  try {
    return await Promise.race([drained, reply.then(() => false)]);
  } finally {
    call.off('drain', drain);
  }
}
