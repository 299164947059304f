/**
 * A process of the mutation lane: runs the specs that it is sent, one after the other, and answers how each went. It runs
 * the build that it is a file of. A spec that waits for what never comes ends the process, for nothing else keeps it.
 */
import { subscribe } from 'node:diagnostics_channel';
import { register } from 'node:module';
import Mocha from 'mocha';
import '../support/properties.js';
import type { Outcome, Trial } from './trial.js';

register('./hooks.js', import.meta.url);
let hasOthers = false;
for (const name of ['child_process', 'worker_threads']) {
  subscribe(name, () => {
    hasOthers = true;
  });
}
// what a trial leaves behind fails no test, as it fails none of mocha's own
for (const event of ['unhandledRejection', 'uncaughtException']) process.on(event, () => {});

async function outcomeOf({ spec, id, instead }: Trial): Promise<Outcome> {
  const began = performance.now();
  hasOthers = false;
  let failed: string | undefined;
  let isStray = false;
  const noteFault = (title: string, { stack = '' }: Error) => {
    failed ??= title;
    isStray ||= [...stack.matchAll(/[?&]id=(\d+)/g)].some(([, other]) => Number(other) !== id);
  };
  const url = new URL(`../${spec}.spec.js`, import.meta.url);
  url.search = new URLSearchParams({ id: String(id), ...instead }).toString();
  const mocha = new Mocha({ bail: true });
  mocha.suite.emit('pre-require', globalThis, url.pathname, mocha);
  try {
    await import(url.href);
    await new Promise<void>((done) => {
      const runner = mocha.run(() => done());
      // how long is too long, the lane knows
      runner.on('test', (test) => test.timeout(0));
      runner.on('hook', (hook) => hook.timeout(0));
      runner.on('fail', (test, error) => noteFault(test.fullTitle(), error));
    });
  } catch (thrown) {
    noteFault(`not loaded: ${String(thrown)}`, thrown as Error);
  }
  mocha.dispose();
  return { failed, isStray, hasOthers, tookMs: performance.now() - began };
}

process.on('message', async (trial: Trial) => {
  process.channel?.unref();
  const outcome = await outcomeOf(trial);
  process.channel?.ref();
  process.send?.(outcome);
});
