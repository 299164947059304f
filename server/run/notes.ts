/** What of a run's events is worth a line of the coordinator's log, and in which words. */
import type { RunEvent } from '../../shared/run/events.js';
import type { Logger } from '../log.js';
import { waitingForText, waitingText } from '../report/waiting.js';

type Note = { readonly level: 'info' | 'warn'; readonly fields: object; readonly message: string };

/** Left the round as it was asked to, or because others were faster: nothing is wrong. */
const USUAL: ReadonlySet<string> = new Set(['superseded', 'dropout', 'round-aborted']);

/** Writes what is worth it; the same sentence is written once in a row. */
export function noteTaker(run: string, log: Logger): (event: RunEvent) => void {
  let last = '';
  return (event) => {
    const note = noteOf(event);
    if (note === undefined || note.message === last) return;
    last = note.message;
    log[note.level]({ run, ...note.fields }, note.message);
  };
}

/** What an operator is told of a client afterwards. */
export function blameOf(run: string, { round, reason, detail }: Extract<RunEvent, { kind: 'dropped' }>): string {
  return `${reason}${detail && `: ${detail}`} (run ${run}, round ${round})`;
}

function noteOf(event: RunEvent): Note | undefined {
  switch (event.kind) {
    case 'dropped': {
      const { client, round, reason, detail } = event;
      if (USUAL.has(reason)) return undefined;
      const message = reason === 'refused' ? `${client} declined this run` : `round ${round} goes on without ${client}`;
      return { level: 'warn', fields: { round, client, reason, ...(detail !== '' && { detail }) }, message };
    }
    case 'waiting-for': {
      if (event.clients.every(({ isOnline }) => isOnline)) return undefined; // they are at work
      return { level: 'info', fields: { round: event.round }, message: waitingForText(event, event.atMs) };
    }
    case 'waiting': {
      if (event.declined === undefined && event.missing === undefined) return undefined; // many are still to come
      const level = event.declined === undefined ? 'info' : 'warn';
      return { level, fields: { round: event.round }, message: waitingText(event, event.atMs) };
    }
    case 'round-aborted':
      return { level: 'warn', fields: { round: event.round, reason: event.reason }, message: 'an attempt was aborted' };
    case 'ended': {
      const { status, reason } = event;
      return { level: status === 'failed' ? 'warn' : 'info', fields: { reason }, message: `run ${status}` };
    }
    default:
      return undefined;
  }
}
