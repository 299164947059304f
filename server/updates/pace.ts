/**
 * How slow an upload may be. What a peer sends is waited for as long as it brings {@link LEAST_UPLOAD_BYTES_PER_S}: it may
 * be silent for {@link UPLOAD_GRACE_MS}, which waiting spends and bytes earn back, so that four bytes now and then hold no
 * place for ever. Time in which nothing is asked of the peer costs it nothing.
 */
import type { Clock } from '../../shared/clock.js';
import { FlError } from '../../shared/errors.js';
import { CHUNK_BYTES } from '../../shared/service.js';

/** Bytes per second, on average over the grace. */
export const LEAST_UPLOAD_BYTES_PER_S = 8 * 1024;
/** In milliseconds: what one piece takes at that pace, since a piece is nothing before it is whole. */
export const UPLOAD_GRACE_MS = (1000 * CHUNK_BYTES) / LEAST_UPLOAD_BYTES_PER_S;

/** Lets the reading of one upload be given up from outside. */
export interface Stop {
  /** What was asked of the peer is not waited for any more; the reader gets `error`. */
  give(error: FlError): void;
  readonly given: Promise<never>;
}

/** Not given yet. */
export function newStop(): Stop {
  let give: (error: FlError) => void = () => {};
  const given = new Promise<never>((_, reject) => {
    give = reject;
  });
  given.catch(() => undefined); // whoever reads hears of it
  return { give, given };
}

/** The chunks as they come. @throws FlError unavailable: they come too slowly; what `stop` was given; what they throw */
export async function* atPace(
  chunks: AsyncIterable<Uint8Array>,
  { clock, stop }: { readonly clock: Clock; readonly stop: Stop },
): AsyncGenerator<Uint8Array> {
  const source = chunks[Symbol.asyncIterator]();
  let leftMs = UPLOAD_GRACE_MS;
  try {
    for (;;) {
      const askedAtMs = clock.nowMs();
      const slow = newStop();
      const cancel = clock.after(leftMs, () => slow.give(tooSlow()));
      const next = await Promise.race([source.next(), slow.given, stop.given]).finally(cancel);
      if (next.done === true) return;
      const waitedMs = clock.nowMs() - askedAtMs;
      const earnedMs = (1000 * next.value.length) / LEAST_UPLOAD_BYTES_PER_S;
      leftMs = Math.min(UPLOAD_GRACE_MS, Math.max(0, leftMs - waitedMs) + earnedMs);
      yield next.value;
    }
  } finally {
    // Not awaited: a source that is stuck in next() would keep the answer from the caller.
    source.return?.().then(undefined, () => {});
  }
}

function tooSlow(): FlError {
  const expected = `at least ${LEAST_UPLOAD_BYTES_PER_S} bytes a second over ${UPLOAD_GRACE_MS / 1000} s`;
  const next = 'what came is kept until another needs the place; a run with compression sends less';
  return new FlError('unavailable', `upload: expected ${expected}, got fewer; next: ${next}`);
}
