/**
 * The code under test with one thing wrong, by name: each is a fault that such an engine has had, or could have, and
 * that the invariants must find. A mutant changes what goes into a function or what comes out of it, never its source.
 */
import type { SessionEffect } from '../../client/round/session.js';
import { memberOf } from '../../server/round/cohort.js';
import { fateOf } from '../../server/round/fate.js';
import { planFor } from '../../server/round/moves.js';
import type { Effect, RoundEvent, RunState } from '../../server/round/state.js';
import { type Subject, subject } from './subject.js';

type Step = Subject['step'];
type ClientStep = Subject['clientStep'];

const { step, clientStep, restore } = subject;

/** The engine, with its effects edited. */
function withEffects(
  edit: (effects: Effect[], after: RunState, event: RoundEvent, before: RunState) => Effect[],
): Subject {
  const wrong: Step = (state, event) => {
    const [next, effects] = step(state, event);
    return [next, edit(effects, next, event, state)];
  };
  return { ...subject, step: wrong };
}

/** The engine, deaf to some events. */
function deafTo(isUnheard: (event: RoundEvent, state: RunState) => boolean): Subject {
  return { ...subject, step: (state, event) => (isUnheard(event, state) ? [state, []] : step(state, event)) };
}

/** The session, with its effects edited. */
function withClientEffects(edit: (effects: SessionEffect[]) => SessionEffect[]): Subject {
  const wrong: ClientStep = (state, event) => {
    const [next, effects] = clientStep(state, event);
    return [next, edit(effects)];
  };
  return { ...subject, clientStep: wrong };
}

const isTimerOf = (event: RoundEvent, stage: string) => event.kind === 'timer' && event.id.startsWith(`${stage}/`);

export const mutants: Readonly<Record<string, Subject>> = {
  'an update that comes again is added again': {
    ...subject,
    step: (state, event) => {
      if (event.kind !== 'arrived' || fateOf(state, undefined, event).kind !== 'accepted') return step(state, event);
      const { client, updateSha256 } = event;
      return [state, [{ kind: 'answer', client, updateSha256, outcome: 'add', detail: '' }]];
    },
  },
  'an update of an older round or attempt is taken for a current one': {
    ...subject,
    step: (state, event) => {
      const isUpdate = event.kind === 'arrived' || event.kind === 'invalid' || event.kind === 'stored';
      return step(state, isUpdate ? { ...event, round: state.round, attempt: state.attempt } : event);
    },
  },
  'an update that comes after the survivors are frozen is added': withEffects((effects, _after, _event, before) => {
    if (before.stage.kind !== 'committing') return effects;
    return effects.map((effect) => (effect.kind === 'answer' ? { ...effect, outcome: 'add' } : effect));
  }),
  'receipts go out before the record is durable': withEffects((effects) => {
    const receipts = effects.filter(({ kind }) => kind === 'receipt');
    return [...receipts, ...effects.filter(({ kind }) => kind !== 'receipt')];
  }),
  'the record names survivors that were not summed': {
    ...subject,
    step: (state, event) => {
      const { stage } = state;
      if (stage.kind !== 'training' || event.kind !== 'invalid') return step(state, event);
      const [next, effects] = step(state, { ...event, kind: 'arrived', metrics: {} });
      return [next, effects.map((effect) => (effect.kind === 'answer' ? { ...effect, outcome: 'rejected' } : effect))];
    },
  },
  'minSurvivors is not looked at': {
    ...subject,
    step: (state, event) => {
      const [next, effects] = step({ ...state, spec: { ...state.spec, minSurvivors: 0 } }, event);
      return [{ ...next, spec: state.spec }, effects];
    },
  },
  'the training deadline is ignored': deafTo((event) => isTimerOf(event, 'training')),
  'the evaluation deadline is ignored': deafTo((event) => isTimerOf(event, 'evaluating')),
  'who comes back is not given the plan': withEffects((effects, _after, event) => {
    return event.kind === 'online' ? effects.filter(({ kind }) => kind !== 'plan') : effects;
  }),
  'a restart sends plans to the whole cohort, here or not': {
    ...subject,
    restore: (records, atMs) => {
      const [state, effects] = restore(records, atMs);
      if (state.stage.kind !== 'training') return [state, effects];
      return [state, [...effects, ...state.stage.cohort.names.map((name) => planFor(state, name))]];
    },
  },
  'plans go to clients outside the cohort': withEffects((effects, after, event) => {
    const { stage } = after;
    if (event.kind !== 'online' || stage.kind !== 'training') return effects;
    return memberOf(stage.cohort, event.client) === undefined ? [...effects, planFor(after, event.client)] : effects;
  }),
  'a repeated round keeps its attempt': {
    ...subject,
    step: (state, event) => {
      const [next, effects] = step(state, event);
      if (next.round !== state.round || next.attempt === state.attempt) return [next, effects];
      return step({ ...state, attempt: state.attempt - 1 }, event);
    },
  },
  'a stopped run still takes its model': {
    ...subject,
    step: (state, event) => {
      const [next, effects] = step(state, event);
      const stops = event.kind === 'stop' && state.stage.kind === 'committing';
      return stops ? [{ ...next, stage: state.stage }, effects] : [next, effects];
    },
  },
  'a resumed run goes on with the attempt that was stopped': {
    ...subject,
    step: (state, event) => step(event.kind === 'resume' ? { ...state, attempt: state.attempt - 1 } : state, event),
  },
  'a client that refused is drawn again': {
    ...subject,
    step: (state, event) => step({ ...state, refused: {} }, event),
  },
  'a client that is away stays on the list': deafTo((event) => event.kind === 'offline'),
  'the whole population is drawn': {
    ...subject,
    step: (state, event) => {
      const [next, effects] = step({ ...state, spec: { ...state.spec, overSelection: 10 } }, event);
      return [{ ...next, spec: state.spec }, effects];
    },
  },
  'the last record is lost on a restart': {
    ...subject,
    restore: (records, atMs) => restore(records.length > 1 ? records.slice(0, -1) : records, atMs),
  },
  'a restart trains a committed round again': {
    ...subject,
    restore: (records, atMs) =>
      restore(
        records.filter(({ kind }) => kind !== 'committed'),
        atMs,
      ),
  },
  'a restart does nothing but wait': {
    ...subject,
    restore: (records, atMs) => [restore(records, atMs)[0], []],
  },
  'an update of a round that is over has no last word': { ...subject, receiptFor: () => undefined },
  'every update of an earlier round is said to be dropped': {
    ...subject,
    receiptFor: (history, run, update) => {
      const receipt = subject.receiptFor(history, run, update);
      return receipt && { ...receipt, outcome: 'dropped', reason: 'deadline' };
    },
  },
  'a client forgets its update when it has sent it': withClientEffects((effects) => {
    const sent = effects.filter((effect) => effect.kind === 'upload');
    return [...effects, ...sent.map(({ update }) => ({ kind: 'forget', update }) as const)];
  }),
  'a client never forgets': withClientEffects((effects) => effects.filter(({ kind }) => kind !== 'forget')),
  'a client trains again what it keeps': {
    ...subject,
    clientStep: (state, event) => {
      if (event.kind !== 'plan' || state.kept.length === 0) return clientStep(state, event);
      const [next, effects] = clientStep({ ...state, kept: [] }, event);
      return [{ ...next, kept: state.kept }, effects];
    },
  },
  'a client works on two plans at once': {
    ...subject,
    clientStep: (state, event) => {
      if (event.kind !== 'plan') return clientStep(state, event);
      const [next, effects] = clientStep({ ...state, working: undefined }, event);
      return [next, effects];
    },
  },
  'a client does not tell what it made while away': {
    ...subject,
    clientStep: (state, event) => clientStep({ ...state, unannounced: [] }, event),
  },
};
