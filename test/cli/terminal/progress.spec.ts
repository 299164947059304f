import assert from 'node:assert/strict';
import { createProgress } from '../../../cli/terminal/progress.js';
import { ended, HEADLINE, started, wholeRounds } from './events.js';

const HIDE = '\u001b[?25l';
const SHOW = '\u001b[?25h';

function make(more: { isTTY: boolean; color?: boolean }) {
  const written: string[] = [];
  const clock = { nowMs: 0 };
  const progress = createProgress({
    stream: { write: (text: string) => written.push(text) },
    columns: 80,
    nowMs: () => clock.nowMs,
    rounds: 12,
    headline: HEADLINE,
    ...more,
  });
  return { progress, written, clock };
}

/** Runs `body` with the variable set, and puts it back. */
function withEnv(name: string, value: string, body: () => void): void {
  const before = process.env[name];
  process.env[name] = value;
  try {
    body();
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
}

describe('progress without a terminal', () => {
  it('writes plain lines only, and waiting once', () => {
    const { progress, written } = make({ isTTY: false, color: true });
    const waiting = { kind: 'waiting', atMs: 0, round: 1, online: 3, need: 10 } as const;
    for (const event of [waiting, waiting, started(1), ended(1)]) progress.event(event);
    progress.close();
    progress.event(ended(2));
    assert.deepEqual(written, [
      'waiting for clients: 3 of 10 online\n',
      'round 1/12  cohort 10  survivors 10  test.accuracy 0.671  1.8 s  ~20 s left\n',
    ]);
  });

  it('names whom the round waits for, once, when nothing else has come for a while', () => {
    const { progress, written } = make({ isTTY: false });
    const clients = [{ client: 'c1', isOnline: true }];
    const waits = {
      kind: 'waiting-for',
      atMs: 0,
      round: 1,
      task: 'train',
      done: 9,
      of: 10,
      more: 0,
      clients,
      untilMs: 0,
    } as const;
    progress.tick();
    progress.event(started(1));
    progress.event(waits);
    assert.deepEqual(written, []);
    for (let i = 0; i < 3; i++) progress.tick();
    assert.equal(written.length, 1);
    assert.match(written[0], /^waiting for c1, 9 of 10 done, round ends at .* at the latest\n$/);
    progress.event(ended(1));
    progress.tick();
    assert.equal(written.length, 2, 'the round is over');
  });

  it('is what a dumb terminal gets too', () => {
    withEnv('TERM', 'dumb', () => {
      const { progress, written } = make({ isTTY: true });
      for (const event of wholeRounds(1)) progress.event(event);
      progress.close();
      assert.equal(written.length, 1);
      assert.ok(!written[0].includes('\u001b'));
    });
  });
});

describe('progress on a terminal', () => {
  it('hides the cursor with the first frame and gives it back once', () => {
    const { progress, written } = make({ isTTY: true });
    const listeners = process.listenerCount('exit');
    progress.event(started(1));
    assert.ok(written[0].startsWith(HIDE));
    assert.equal(process.listenerCount('exit'), listeners + 1);
    progress.close();
    progress.close();
    const all = written.join('');
    assert.equal(all.split(HIDE).length, 2);
    assert.equal(all.split(SHOW).length, 2);
    assert.ok(all.endsWith(SHOW));
    assert.equal(process.listenerCount('exit'), listeners);
  });

  it('touches no cursor when it never drew', () => {
    const { progress, written } = make({ isTTY: true });
    progress.close();
    assert.deepEqual(written, []);
  });

  it('draws over the frame before: up by as many lines as that had', () => {
    const { progress, written, clock } = make({ isTTY: true, color: false });
    progress.event(started(1));
    clock.nowMs = 1800;
    progress.event(ended(1));
    clock.nowMs = 3600;
    progress.event(ended(2));
    // The first frame has no speed yet.
    assert.equal(written[0].split('\n').length - 1, 3);
    assert.ok(written[1].startsWith('\u001b[?7l\u001b[3A\r\u001b[0J'));
    assert.ok(written[2].startsWith('\u001b[?7l\u001b[4A\r\u001b[0J'));
    assert.ok(written.every((frame) => frame.endsWith('\u001b[?7h')));
  });

  it('draws at most once in 80 ms, but always the end', () => {
    const { progress, written, clock } = make({ isTTY: true });
    progress.event(started(1));
    for (const at of [1, 79]) {
      clock.nowMs = at;
      progress.event(ended(1));
    }
    assert.equal(written.length, 1);
    clock.nowMs = 80;
    progress.event(ended(2));
    assert.equal(written.length, 2);
    progress.event({ kind: 'ended', atMs: 4000, status: 'completed', reason: '' });
    assert.equal(written.length, 3);
    progress.close();
  });
});

describe('progress in colour and above the frame', () => {
  it('keeps an aborted attempt above the frame', () => {
    const { progress, written } = make({ isTTY: true, color: false });
    progress.event(started(1));
    progress.event({ kind: 'round-aborted', atMs: 5, round: 1, reason: 'too few' });
    assert.ok(written[1].includes('\u001b[0Jround 1/12  attempt 1 aborted: too few\nround '));
    progress.close();
  });

  it('keeps above the frame, and says in a log, that contributions were zeroed', () => {
    const warning =
      'WARNING  round 1/12  zeroed: 9 of 9 contributions; nothing was learned in round 1; numbers there were not finite; the logs of the sites say why\n';
    const zeros = ended(1, { survivors: 9, zeroed: 9 });
    for (const isTTY of [true, false]) {
      const { progress, written } = make({ isTTY, color: false });
      progress.event(started(1));
      progress.event(zeros);
      assert.ok(written.join('').includes(warning), written.join(''));
      progress.event(ended(2, { survivors: 9, zeroed: 0 }));
      assert.equal(written.join('').split('WARNING').length, 2, 'once');
      progress.close();
    }
  });

  it('has no colour under NO_COLOR, and some without', () => {
    // Select Graphic Rendition (ECMA-48 8.3.117) ends in m; the cursor sequences do not.
    const colours = (written: readonly string[]) =>
      written
        .join('')
        .split('\u001b[')
        .filter((part) => /^[0-9;]*m/.test(part)).length;
    withEnv('NO_COLOR', '1', () => {
      const { progress, written } = make({ isTTY: true });
      progress.event(started(1));
      progress.close();
      assert.equal(colours(written), 0);
    });
    withEnv('NO_COLOR', '', () => {
      const { progress, written } = make({ isTTY: true });
      progress.event(started(1));
      progress.close();
      assert.ok(colours(written) > 0);
    });
  });
});
