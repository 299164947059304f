/**
 * A client's disk that a test holds or fails, and one list of all that became durable and all that was said, in order:
 * whoever promises "durable before said" is held to it. It wraps the stores that a participant is given, so what lies
 * behind may be memory or files.
 */

import type { PrivacySite } from '../../client/round/privatize.js';
import type { Openings } from '../../client/store/openings.js';
import { memoryReleases, type ReleaseStore } from '../../client/store/releases.js';
import type { SecaggStore } from '../../client/store/secagg.js';
import type { ClientStore } from '../../client/store/updates.js';
import type { FlError } from '../../shared/errors.js';
import type { SignedHead } from '../../shared/ledger/against.js';
import { rngFromEntropy } from '../../shared/rng.js';

/** What a participant asks of its disk; `secure` is the state of an aggregation, `bind` where its vector goes, `opening` whose sum
 * it helps to open. */
export type Write = 'update' | 'own' | 'forget' | 'charge' | 'release' | 'head' | 'secure' | 'bind' | 'opening';

export class OrderedDisk {
  /** `disk WRITE` when it has become durable, `said FRAME` when it left. */
  readonly log: string[] = [];
  readonly #begun: Write[] = [];
  readonly #fates = new Map<Write, { readonly from: number; readonly fate: Promise<void> }>();

  said(what: string): void {
    this.log.push(`said ${what}`);
  }

  /** How many writes of this kind were asked for. */
  begun(write: Write): number {
    return this.#begun.filter((one) => one === write).length;
  }

  /** Writes of this kind, from the `from`-th on, wait for the call that this gives. */
  hold(write: Write, from = 1): () => void {
    let release = () => {};
    const fate = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#fates.set(write, { from, fate });
    return release;
  }

  /** Writes of this kind, from the `from`-th on, fail. */
  fail(write: Write, error: FlError, from = 1): void {
    const fate = Promise.reject(error);
    fate.catch(() => undefined);
    this.#fates.set(write, { from, fate });
  }

  async #do<T>(write: Write, act: () => Promise<T>): Promise<T> {
    this.#begun.push(write);
    const fate = this.#fates.get(write);
    if (fate !== undefined && this.begun(write) >= fate.from) await fate.fate;
    const done = await act();
    this.log.push(`disk ${write}`);
    return done;
  }

  store(inner: ClientStore): ClientStore {
    return {
      list: () => inner.list(),
      read: (update) => inner.read(update),
      privateTensorsBefore: (run, round) => inner.privateTensorsBefore(run, round),
      keep: (update) => this.#do('update', () => inner.keep(update)),
      forget: (update) => this.#do('forget', () => inner.forget(update)),
      keepPrivateTensors: (run, round, tensors) => this.#do('own', () => inner.keepPrivateTensors(run, round, tensors)),
    };
  }

  secureStore(inner: SecaggStore): SecaggStore {
    return {
      find: (id) => inner.find(id),
      mayMask: (id, task) => inner.mayMask(id, task),
      keep: (id, state) => this.#do('secure', () => inner.keep(id, state)),
      bind: (id, task) => this.#do('bind', () => inner.bind(id, task)),
    };
  }

  openings(inner: Openings): Openings {
    return {
      conflict: (...asked) => inner.conflict(...asked),
      admit: (...asked) => this.#do('opening', () => inner.admit(...asked)),
    };
  }

  /** What a participant needs for privacy; unless a test brings another site, nothing is ever charged already. */
  privacy(site: PrivacySite = { noiseOf: rngFromEntropy, releases: memoryReleases() }): PrivacySite {
    const { isCharged = () => false, charge = async () => undefined } = site.account ?? {};
    return {
      noiseOf: site.noiseOf,
      releases: this.releases(site.releases),
      account: { isCharged, charge: (plan) => this.#do('charge', () => charge(plan)) },
    };
  }

  releases(inner: ReleaseStore): ReleaseStore {
    return {
      find: (name) => inner.find(name),
      refusalOf: (name) => inner.refusalOf(name),
      keep: (name, released) => this.#do('release', () => inner.keep(name, released)),
      settle: (run, round) => inner.settle(run, round),
    };
  }

  keepHead(): (head: SignedHead) => Promise<void> {
    return () => this.#do('head', async () => undefined);
  }
}
