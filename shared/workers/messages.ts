/** What a pool and its threads say to each other. */
import { FlError, type FlErrorCode } from '../errors.js';

/** To a thread: `cancel` asks it to give up a task, which it answers with an error. */
export type ToThread<Task> =
  | { readonly kind: 'run'; readonly id: number; readonly task: Task }
  | { readonly kind: 'cancel'; readonly id: number };

/** From a thread: once how its start went, then news and one end for each task. */
export type FromThread<Result, News, About> =
  | { readonly kind: 'ready'; readonly about: About }
  | { readonly kind: 'failed-to-start'; readonly error: PlainError }
  | { readonly kind: 'news'; readonly id: number; readonly news: News }
  | { readonly kind: 'result'; readonly id: number; readonly result: Result }
  | { readonly kind: 'error'; readonly id: number; readonly error: PlainError };

/** An FlError in a form that survives the way between threads. */
export interface PlainError {
  readonly code: FlErrorCode;
  readonly message: string;
  readonly stack: string;
}

/** Whatever was thrown, to be sent. */
export function plainOf(thrown: unknown): PlainError {
  const { code, message, stack = '' } = FlError.from(thrown);
  return { code, message, stack };
}

/** The error that was sent, with the stack of the thread that threw it. */
export function revive({ code, message, stack }: PlainError): FlError {
  const error = new FlError(code, message);
  error.stack = stack;
  return error;
}
