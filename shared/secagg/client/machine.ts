/**
 * The client's side of secure aggregation, as a pure state machine: `step(context, state, input) -> [state, outputs]`.
 *
 * ```
 *   start ──advertise──▶ roster ──roster / shares──▶ bundles ──bundles──▶ vector ──vector / masked──▶ survivors
 *                                                                                                        │
 *                                        done ◀──signatures / unmask── signatures ◀──survivors / consistency
 *
 *   (phase names say what the client waits for; "received / sent"; any failed check, from any phase: ──▶ refused)
 * ```
 * One way only. A repeated frame is answered with the same bytes, a frame of a passed phase that differs is a
 * contradiction, a frame of a later phase is out of order. Every output list starts with `persist` where something must be
 * on disk before the rest happens. Outputs never carry a secret; a refusal carries a reason and nothing else.
 */
import { invalidArgument } from '../../errors.js';
import { Refusal, type RefusalReason } from '../checks.js';
import { equalBytes, MalformedFrame } from '../codec.js';
import { encodeRefusal, type Frame, type FrameType, parseFrame } from '../frames.js';
import { aggregationIdOf } from '../params.js';
import { advertise } from './advertise.js';
import { signSurvivors } from './consistency.js';
import { maskVector, openBundles } from './mask.js';
import { shareSecrets } from './share.js';
import { type ClientContext, type ClientInput, type ClientState, type ClientStep, check } from './state.js';
import { revealShares } from './unmask.js';

/** The frames a server sends, in order. */
const SERVER_FRAMES: readonly FrameType[] = ['roster', 'bundles', 'survivors', 'signatures'];

/** Begins an aggregation: advertises keys, or refuses the parameters. The state starts in phase `roster` or `refused`. */
export function startClient(context: ClientContext): ClientStep {
  const blank: ClientState = {
    phase: 'refused',
    reason: 'withdrawn',
    aggregationId: aggregationIdOf(context.suite, context.params, context.aggregation),
    accepted: {},
    lastFrame: new Uint8Array(0),
  };
  return guarded(context, blank, () => advertise(context));
}

/**
 * One step. Pure but for `context.rng` (advances) and `context.kernel` (scratch memory).
 * @throws FlError `invalid-argument` for a vector of the wrong length or range, or at the wrong time: the caller's mistake
 */
export function stepClient(context: ClientContext, state: ClientState, input: ClientInput): ClientStep {
  switch (input.kind) {
    case 'frame':
      return guarded(context, state, () => onFrame(context, state, input.bytes));
    case 'vector':
      if (state.phase === 'refused' || state.phase === 'done') return [state, []];
      if (state.phase !== 'vector' && state.phase !== 'survivors') {
        throw invalidArgument('vector', 'to be asked for first (output vector-wanted)', state.phase);
      }
      return guarded(context, state, () => maskVector(context, state, input.values));
    case 'resume':
      return [state, resumed(state)];
    case 'withdraw':
      return state.phase === 'refused' || state.phase === 'done' ? [state, []] : refuse(state, 'withdrawn');
  }
}

function onFrame(context: ClientContext, state: ClientState, bytes: Uint8Array): ClientStep {
  if (state.phase === 'refused') return [state, []];
  const frame = parseFrame(bytes);
  check(context, 'wrong-aggregation', equalBytes(frame.aggregationId, state.aggregationId));
  const digest = context.suite.hash(bytes);
  const before = state.accepted[frame.type];
  if (before !== undefined) {
    if (equalBytes(before, digest)) return [state, repeatedAnswer(state, frame.type)];
    check(context, frame.type === 'survivors' ? 'second-survivor-set' : 'contradicting-frame', false);
  }
  const due = frame.type === state.phase;
  check(context, 'out-of-order', due);
  if (!due) return [state, []];
  return handle(context, { ...state, accepted: { ...state.accepted, [frame.type]: digest } }, frame);
}

function handle(context: ClientContext, state: ClientState, { body }: Frame): ClientStep {
  switch (state.phase) {
    case 'roster':
      return shareSecrets(context, state, body);
    case 'bundles':
      return openBundles(context, state, body);
    case 'survivors':
      return signSurvivors(context, state, body);
    case 'signatures':
      return revealShares(context, state, body);
    default:
      return [state, []];
  }
}

/** The answer to the frame that was accepted last, once more; frames from further back have been answered for good. */
function repeatedAnswer(state: ClientState, type: FrameType): ClientStep[1] {
  const last = SERVER_FRAMES.findLast((name) => state.accepted[name] !== undefined);
  return type === last ? resumed(state) : [];
}

/** What was due to be sent when the state was saved. */
function resumed({ phase, lastFrame }: ClientState): ClientStep[1] {
  switch (phase) {
    case 'vector':
    case 'survivors':
      return [{ kind: 'vector-wanted' }];
    case 'roster':
      return [{ kind: 'send', type: 'advertise', frame: lastFrame }];
    case 'bundles':
      return [{ kind: 'send', type: 'shares', frame: lastFrame }];
    case 'signatures':
      return [{ kind: 'send', type: 'consistency', frame: lastFrame }];
    case 'done':
      return [{ kind: 'send', type: 'unmask', frame: lastFrame }, { kind: 'done' }];
    case 'refused':
      return [{ kind: 'send', type: 'refusal', frame: lastFrame }];
  }
}

/** Turns a failed check, or a frame that does not parse, into the state `refused`. */
function guarded(context: ClientContext, state: ClientState, run: () => ClientStep): ClientStep {
  try {
    return run();
  } catch (error) {
    if (error instanceof Refusal) return refuse(state, error.reason, error.culprit);
    if (!(error instanceof MalformedFrame)) throw error;
    return context.disabledChecks?.has('malformed-frame') ? [state, []] : refuse(state, 'malformed-frame');
  }
}

function refuse({ aggregationId }: ClientState, reason: RefusalReason, culprit?: number): ClientStep {
  const frame = encodeRefusal(aggregationId, reason, culprit);
  const refused = culprit === undefined ? { reason } : { reason, culprit };
  return [
    { phase: 'refused', reason, aggregationId, accepted: {}, lastFrame: frame },
    [{ kind: 'persist' }, { kind: 'send', type: 'refusal', frame }, { kind: 'refused', ...refused }],
  ];
}
