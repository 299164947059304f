/**
 * What is seen of all calls in one place, for the security log: who was refused, who joined, what operators did. It sees
 * calls as they pass and changes none; an action is told of before its caller hears that it is done.
 */
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServiceDefinition,
  status as Status,
} from '@grpc/grpc-js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { decodeRunName } from '../../shared/wire/admin.js';
import { AdminServiceService } from '../../shared/wire/gen/starling/v1/admin.js';
import { decodeRotateKeyRequest } from '../../shared/wire/hand-overs.js';
import { AUTHORIZATION_KEY } from '../../shared/wire/status.js';
import { decodeEnrolReply } from '../../shared/wire/transfer.js';
import type { AccountBook } from './operators.js';

/** An operator's call that changes something, or would have. */
export interface Action {
  readonly account: string;
  readonly peer: string;
  /** The call, as proto/starling/v1/admin.proto names it. */
  readonly action: string;
  /** Short fields of the request. */
  readonly about: Readonly<Record<string, unknown>>;
  /** `ok`, or why not. */
  readonly outcome: string;
}

/** Of a plan that goes out. */
export interface Planned {
  readonly run: string;
  readonly kind: string;
  readonly round: number;
  readonly attempt: number;
  readonly planSha256: string;
}

/** Hears what happens at the door; `peer` is ADDRESS:PORT. */
export interface Witness {
  joined(peer: string, client: string): Promise<void>;
  /** A client is enrolled by another key, by its own word. */
  rotated(peer: string, client: string, keys: { readonly from: string; readonly to: string }): Promise<void>;
  acted(action: Action): Promise<void>;
  planned(plan: Planned): void;
}

const ENROL = '/starling.v1.EnrolmentService/Enrol';
const ROTATE_KEY = '/starling.v1.EnrolmentService/RotateKey';
const ADMIN = '/starling.v1.AdminService/';
/** Calls that only read. */
const READS = /^(List|Get|Watch)/;
/** Statuses by which somebody is turned away; a fault of the coordinator, or of the network, is none. */
const REFUSALS: readonly number[] = [Status.INVALID_ARGUMENT, Status.PERMISSION_DENIED, Status.RESOURCE_EXHAUSTED];
/** And of these calls, also by these: a lab that asks for the model of another's run; one whose upload stands still. */
const MORE_REFUSALS: Readonly<Record<string, number>> = {
  '/starling.v1.ParticipantService/DownloadModel': Status.NOT_FOUND,
  '/starling.v1.ParticipantService/UploadUpdate': Status.UNAVAILABLE,
};
const MAX_FIELD_CHARS = 200;
/** Of runs side by side. */
const KEPT_PLANS = 64;

/** For grpc-js. */
export function witnessing(
  witness: Witness,
  {
    onRefusal,
    accounts,
  }: { readonly onRefusal: (peer: string, reason: string) => void; readonly accounts: AccountBook },
): ServerInterceptor {
  return ({ path }, call) => {
    const action = path.startsWith(ADMIN) ? path.slice(ADMIN.length) : undefined;
    const isAction = action !== undefined && !READS.test(action);
    const isJoin = path === ENROL;
    const isRotation = path === ROTATE_KEY;
    let account = '';
    let request: Uint8Array | undefined;
    let reply: Uint8Array | undefined;
    let isLeft = false;
    return new ServerInterceptingCall(call, {
      start(next) {
        const onCancel = () => {
          isLeft = true;
        };
        if (!isAction && !isRotation) return next({ onCancel });
        next({
          onCancel,
          onReceiveMetadata(metadata: Metadata, pass: (metadata: Metadata) => void) {
            const [token] = metadata.get(AUTHORIZATION_KEY);
            account = accounts.accountOf(String(token).replace(/^Bearer /, ''))?.name ?? '';
            pass(metadata);
          },
          onReceiveMessage(message: Uint8Array, pass: (message: Uint8Array) => void) {
            request ??= message;
            pass(message);
          },
        });
      },
      sendMessage(message, next) {
        if (isAction || isJoin) reply = message;
        next(message);
      },
      sendStatus(status, next) {
        const peer = call.getPeer();
        const { code, details } = status;
        const isRefusal = REFUSALS.includes(code) || (code === MORE_REFUSALS[path] && !isLeft);
        if (isRefusal) onRefusal(peer, `${isJoin ? 'join: ' : ''}${details}`);
        const isKnown = code !== Status.PERMISSION_DENIED;
        let told: Promise<void> | undefined;
        if (isAction && isKnown) {
          const about = { ...fieldsOf(action, request), ...(reply && runOf(action, reply)) };
          const outcome = code === Status.OK ? 'ok' : String(details);
          told = witness.acted({ account, peer, action, about, outcome });
        } else if (isJoin && code === Status.OK && reply !== undefined) {
          told = witness.joined(peer, decodeEnrolReply(reply).client);
        } else if (isRotation && code === Status.OK && request !== undefined) {
          const { client, handOver } = decodeRotateKeyRequest(request);
          told = witness.rotated(peer, client, { from: handOver.from, to: handOver.to });
        }
        if (told === undefined) next(status);
        else void told.finally(() => next(status));
      },
    });
  };
}

/** No field of an operator's request is a secret; what is long or nested is left out. */
function fieldsOf(action: string, request: Uint8Array | undefined): Record<string, unknown> {
  const name = action[0].toLowerCase() + action.slice(1);
  const method = (AdminServiceService as ServiceDefinition)[name];
  if (request === undefined || method === undefined) return {};
  try {
    const fields = Object.entries(method.requestDeserialize(Buffer.from(request)) as object);
    return Object.fromEntries(
      fields.filter(
        ([, value]) => /^(string|number|boolean)$/.test(typeof value) && String(value).length <= MAX_FIELD_CHARS,
      ),
    );
  } catch {
    return {};
  }
}

function runOf(action: string, reply: Uint8Array): { run: string } | undefined {
  return action === 'StartRun' ? { run: decodeRunName(reply) } : undefined;
}

/** What a plan says of itself: once, also when it goes to a client that comes back. */
export function plansSeen(planned: (plan: Planned) => void): (body: Uint8Array) => void {
  const seen: string[] = [];
  return (body) => {
    const planSha256 = sha256Hex(body);
    if (seen.includes(planSha256)) return;
    seen.push(planSha256);
    if (seen.length > KEPT_PLANS) seen.shift();
    const plan = planIn(body);
    if (plan !== undefined) planned({ ...plan, planSha256 });
  };
}

/** What is no plan goes its way all the same: a witness stops nothing. */
function planIn(body: Uint8Array): Omit<Planned, 'planSha256'> | undefined {
  try {
    const { run, kind, round, attempt } = JSON.parse(new TextDecoder().decode(body));
    return { run, kind, round, attempt };
  } catch {
    return undefined;
  }
}

/** Says nothing. */
export const unwitnessed: Witness = {
  joined: async () => {},
  rotated: async () => {},
  acted: async () => {},
  planned: () => {},
};
