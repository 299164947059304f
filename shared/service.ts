/**
 * What a coordinator offers, as plain functions over plain records: the coordinator implements it, a client calls it.
 * `server/grpc/server.ts` and `client/grpc/participant.ts` carry it over the network; a simulation hands the one to the other directly, so
 * both worlds run the same code on both sides.
 */
import type { SignedHead } from './ledger/against.js';
import type { PeopleService, Standing } from './people.js';
import type { TaskId, UpdateHeader } from './run/plan.js';
import type { RunSpec } from './run/spec.js';
import type { RunStatus } from './run/summary.js';
import type { SignedNotice } from './signing/address-notice.js';
import type { SignedAnswer } from './signing/answers.js';
import type { HandOver } from './signing/hand-over.js';
import type { SignedReceipt } from './signing/receipts.js';
import type { Shown } from './signing/shown.js';

/** Asked before a token is shown: who is there? `address` is what was dialled, `nonce` 32 random bytes. */
export interface IdentifyRequest {
  readonly address: string;
  readonly nonce: Uint8Array;
}

/** The coordinator's key (Ed25519, 32 bytes), and its signature over address, nonce and key. */
export interface IdentifyReply {
  readonly coordinatorKey: Uint8Array;
  readonly signature: Uint8Array;
  /** How it came to this key, oldest first; absent: by none. */
  readonly handOvers?: readonly HandOver[];
}

/** A new client shows its token and its key. */
export interface EnrolRequest {
  readonly token: string;
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Over the token, by the private half of publicKey. */
  readonly signature: Uint8Array;
}

/** The name under which it is known, and the key (Ed25519, 32 bytes) with which plans and receipts are signed. */
export interface EnrolReply {
  readonly client: string;
  readonly coordinatorKey: Uint8Array;
  /** Absent where connections are in plaintext. */
  readonly issued?: Issued;
}

/** An enrolled client asks for another certificate. */
export interface RenewRequest {
  readonly client: string;
  /** Over the client's name and the coordinator's key, by the key that is enrolled. */
  readonly signature: Uint8Array;
}

/** A client is enrolled by another key from now on. */
export interface RotateKeyRequest {
  readonly client: string;
  /** By the key that is enrolled and by the new one. */
  readonly handOver: HandOver;
}

/** What a client shows on its connections, and by whom it knows the coordinator's; all PEM. */
export interface Issued {
  /** For the client's own key. */
  readonly certificate: string;
  /** Whoever one of them vouches for is the coordinator. */
  readonly authorities: readonly string[];
}

/** Whom the certificate of a connection names. */
export interface Peer {
  readonly kind: 'client' | 'operator';
  readonly name: string;
  /** SHA-256 of the certificate, hex. */
  readonly fingerprint: string;
  /** Ed25519, 32 bytes, when an enrolled client has to have it; absent of a certificate by a site's own authority. */
  readonly publicKey?: Uint8Array;
}

/** An update that the client keeps until its receipt. */
export interface PendingUpdate {
  readonly run: string;
  readonly round: number;
  readonly attempt: number;
  readonly sha256: string;
}

/** Why a plan is not followed: the site's policy, a failure, or a drop-out that a simulation draws. */
export type DeclineReason = 'refused' | 'failed' | 'dropout';

/** What a client says over its control stream. */
export type ClientFrame =
  /** `address` is what the client dialled. A client older than that has neither it nor a nonce: both are empty. */
  | {
      readonly kind: 'hello';
      readonly client: string;
      readonly version: string;
      readonly address: string;
      readonly nonce: Uint8Array;
    }
  /** `pending` are updates that the client keeps, `shown` is what the coordinator has signed; absent: nothing. */
  | {
      readonly kind: 'proof';
      readonly signature: Uint8Array;
      readonly pending: readonly PendingUpdate[];
      readonly shown?: Shown;
      /** Stands for what this site allows, and says nothing of it: another one means that it may follow what it declined. */
      readonly policy?: string;
    }
  | { readonly kind: 'progress'; readonly task: TaskId; readonly stepsDone: number; readonly stepsTotal: number }
  | SignedAnswer
  /** A whole update of at most {@link SMALL_BYTES}; its receipt is the answer. */
  | { readonly kind: 'small-update'; readonly signed: SignedUpdateHeader; readonly data: Uint8Array }
  /** A frame of secure aggregation (shared/secagg/frames.ts). */
  | { readonly kind: 'secure'; readonly task: TaskId; readonly frame: Uint8Array };

/** What the coordinator says over a control stream. Plans, heads and receipts count by their signatures only. */
export type CoordinatorFrame =
  /** A coordinator older than its signature sends an empty one. */
  /** `handOvers`: how the coordinator came to its key, oldest first; absent: by none. */
  | {
      readonly kind: 'challenge';
      readonly nonce: Uint8Array;
      readonly signature: Uint8Array;
      readonly handOvers?: readonly HandOver[];
    }
  /** `addresses` is absent where connections are in plaintext, and from a coordinator that is older. */
  | { readonly kind: 'welcome'; readonly session: Uint8Array; readonly addresses?: SignedNotice }
  /**
   * `body` is the canonical JSON of a RoundPlan; `model` its model's file, if that is small, and otherwise empty;
   * `taskSignature` is over its task, for the client to show later; absent from a coordinator that is older.
   */
  | {
      readonly kind: 'plan';
      readonly body: Uint8Array;
      readonly signature: Uint8Array;
      readonly model: Uint8Array;
      readonly taskSignature?: Uint8Array;
    }
  | { readonly kind: 'withdrawal'; readonly task: TaskId; readonly reason: string }
  | ({ readonly kind: 'receipt' } & SignedReceipt)
  /** To the survivors of a round: what they keep to catch a ledger that is changed later. */
  | ({ readonly kind: 'ledger-head' } & SignedHead)
  | { readonly kind: 'secure'; readonly task: TaskId; readonly frame: Uint8Array }
  | { readonly kind: 'goodbye'; readonly reason: string; readonly retry: boolean };

/** One end of a control stream: frames go in by `send`, in order; `close` ends the stream, once. */
export interface ControlEnd<Frame> {
  send(frame: Frame): void;
  /** `reason` is for a person. */
  close(reason: string): void;
  /** Says nothing over the stream: a frame of its other end was not taken, for the log of who carries it. */
  refused?(reason: string): void;
}

/** The header of an update with its client's signature (Ed25519, 64 bytes). */
export interface SignedUpdateHeader {
  readonly header: UpdateHeader;
  /** The client's, over the canonical encoding of the header. */
  readonly signature: Uint8Array;
}

/** What became of an upload. */
export interface UploadReply {
  readonly outcome: 'accepted' | 'rejected';
  /** Why it was rejected; empty otherwise. */
  readonly detail: string;
}

/** The calls of a client. `session` is what Welcome gave; a wrong one is an FlError permission-denied. */
export interface ParticipantService {
  /** Where this was dialled, as HOST:PORT with a literal host; absent: in this process. */
  readonly dialled?: string;
  /** SHA-256 of the certificate that is shown there, hex; absent: none is, as in plaintext. */
  readonly channel?: string;
  /** FlError permission-denied: the address is not the coordinator's. */
  identify(request: IdentifyRequest): Promise<IdentifyReply>;
  enrol(request: EnrolRequest): Promise<EnrolReply>;
  /** Absent, or FlError failed-precondition, where connections are in plaintext. */
  renew?(request: RenewRequest): Promise<Issued>;
  /**
   * Durable when it resolves, and the old key is nobody's; said again, the same answer. Undefined: there are no certificates.
   * FlError permission-denied: the client is not enrolled by the key that gives, or is shut out.
   */
  rotateKey?(request: RotateKeyRequest): Promise<Issued | undefined>;
  /** Opens the control stream: the caller gives the end that it reads by, and gets the end that it writes to. */
  connect(toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame>;
  /** The model's safetensors file from byte `offset`, in chunks of at most {@link CHUNK_BYTES}. */
  download(
    session: Uint8Array,
    request: { readonly run: string; readonly sha256: string; readonly offset: number },
  ): AsyncIterable<Uint8Array>;
  /** How many bytes of this update the coordinator holds. */
  uploadStatus(session: Uint8Array, update: PendingUpdate): Promise<number>;
  /** Sends values from byte `offset` on, in order. Resolves when the update is in the running sum or turned down. */
  upload(
    session: Uint8Array,
    signed: SignedUpdateHeader,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<UploadReply>;
}

/** An enrolled client, for an operator. */
export interface ClientInfo {
  readonly name: string;
  readonly online: boolean;
  readonly enrolledAtMs: number;
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Those by which it was enrolled before, and which gave to that one, the newest first; absent: none. */
  readonly formerKeys?: readonly Uint8Array[];
  /** When it left, or, of one that is here, when it came; absent: not since the coordinator started. */
  readonly lastSeenAtMs?: number;
  /** What went wrong last, since the coordinator started; absent: nothing. */
  readonly lastReason?: string;
  /** Absent, of an older coordinator: approved. */
  readonly standing?: Standing;
  /** Why it stands so; absent: nobody has said. */
  readonly standingReason?: string;
}

/** A run in a list, for an operator. */
export interface RunInfo {
  readonly run: string;
  readonly workload: string;
  /** `damaged`: it could not be opened, `reason` says why and what to do; the numbers are 0. */
  readonly status: RunStatus | 'damaged';
  readonly reason: string;
  readonly round: number;
  readonly rounds: number;
  readonly createdAtMs: number;
  readonly directory: string;
  readonly activity: string;
}

/** The calls of the operator's command line. */
export interface AdminService extends PeopleService {
  /** The join token, complete, to be handed to one lab. */
  createToken(request: {
    readonly name: string;
    readonly uses: number;
    readonly expiresMs: number;
    /** Who joins with it waits for an operator's approval. */
    readonly isPending?: boolean;
  }): Promise<string>;
  listClients(): Promise<readonly ClientInfo[]>;
  /** `model` is the initial model's safetensors file. Returns the run's id. */
  startRun(spec: RunSpec, model: Uint8Array): Promise<string>;
  stopRun(run: string, reason: string): Promise<void>;
  resumeRun(run: string): Promise<void>;
  /** Puts a run that has ended, or is damaged, out of the way of the others. Returns the folder in which it lies then. */
  archiveRun(run: string): Promise<string>;
  /** For good: a run that has ended, is damaged, or is archived. */
  deleteRun(run: string): Promise<void>;
  /** Mends a run that is damaged, or has ended, and opens it; a sentence for each thing done. */
  repairRun(run: string): Promise<readonly string[]>;
  /** `archived`: the runs that were put aside instead. */
  listRuns(which?: { readonly archived?: boolean }): Promise<readonly RunInfo[]>;
  /** The run and its report.json as it stands now; `null` of one that is damaged. */
  getRun(run: string): Promise<{ readonly info: RunInfo; readonly report: string }>;
  /** Every event of the run from the first on (JSON of a RunEvent); ends when the run has ended. */
  watchRun(run: string, signal?: AbortSignal): AsyncIterable<string>;
}

/** What is no larger goes over the control stream, in one frame, instead of over a call of its own. */
export const SMALL_BYTES = 64 * 1024;
/** How large the pieces of a download or an upload are. */
export const CHUNK_BYTES = 256 * 1024;
/** gRPC's receive limit, kept on both sides; nothing that is larger is ever one message. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
