import assert from 'node:assert/strict';
import fc from 'fast-check';
import { liveLines, paint, plainLines, sparkline } from '../../../cli/terminal/lines.js';
import { advance, initialProgress, leftMs, rates } from '../../../cli/terminal/state.js';
import type { RunEvent } from '../../../shared/run/events.js';
import { ended, HEADLINE, started, wholeRounds } from './events.js';

function stateAfter(events: readonly RunEvent[], rounds = 12) {
  const state = initialProgress(rounds, HEADLINE);
  for (const event of events) advance(state, event);
  return state;
}

const frame = (events: readonly RunEvent[], nowMs: number, columns = 100) =>
  liveLines(stateAfter(events), nowMs, columns).map((line) => paint(line, columns, false));

function log(events: readonly RunEvent[], rounds = 12): string[] {
  const state = initialProgress(rounds, HEADLINE);
  return events.flatMap((event) => {
    advance(state, event);
    return plainLines(state, event);
  });
}

describe('progress as a log', () => {
  it('says one line for each round, with the time left at the pace so far', () => {
    // Three rounds in 5.4 s: 1.8 s each; 9 are left: 16.2 s.
    assert.deepEqual(log(wholeRounds(3)), [
      'round 1/12  cohort 10  survivors 10  test.accuracy 0.671  1.8 s  ~20 s left',
      'round 2/12  cohort 10  survivors 10  test.accuracy 0.771  1.8 s  ~18 s left',
      'round 3/12  cohort 10  survivors 10  test.accuracy 0.871  1.8 s  ~16 s left',
    ]);
  });

  it('says nothing of a metric in a round that was not evaluated, and of time after the last', () => {
    assert.deepEqual(log([started(1), ended(1, { metrics: {}, survivors: 9 })], 1), [
      'round 1/1  cohort 10  survivors 9  1.8 s',
    ]);
  });

  it('finds the metric that the manifest names without its split', () => {
    const state = initialProgress(2, { metric: 'accuracy', better: 'higher' });
    advance(state, started(1));
    advance(state, ended(1));
    assert.match(plainLines(state, ended(1))[0], / {2}test\.accuracy 0\.671 {2}/);
  });

  it('says that it waits, that an attempt was aborted and how the run ended', () => {
    assert.deepEqual(
      log([
        { kind: 'waiting', atMs: 0, round: 1, online: 3, need: 10 },
        {
          kind: 'waiting',
          atMs: 0,
          round: 1,
          online: 3,
          need: 10,
          paused: 'disk of /d: expected 65 MiB free, got 3 MiB',
        },
        { kind: 'round-started', atMs: 100, round: 1, attempt: 2, cohort: [] },
        { kind: 'round-aborted', atMs: 900, round: 1, reason: 'too few survivors: 1 of 5' },
        { kind: 'ended', atMs: 5000, status: 'failed', reason: 'gave up\non round 1' },
      ]),
      [
        'waiting for clients: 3 of 10 online',
        'paused: disk of /d: expected 65 MiB free, got 3 MiB',
        'round 1/12  attempt 2 aborted: too few survivors: 1 of 5',
        'failed: gave up on round 1  0 rounds  5.0 s',
      ],
    );
  });

  it('lets no name drive the terminal', () => {
    const lines = log([started(1), { kind: 'round-aborted', atMs: 1, round: 1, reason: '\u001b[2J\u0007\r\nx\u202e' }]);
    assert.deepEqual(lines, ['round 1/12  attempt 1 aborted: \ufffd[2J\ufffd\ufffd x\ufffd']);
  });
});

describe('single clients in a log', () => {
  const away = { client: 'lab-1', isOnline: false, offlineSinceMs: at(23, 7, 45) };
  const waits = { kind: 'waiting-for', round: 1, task: 'train', done: 2, of: 3, more: 0 } as const;

  it('are named when the round waits for one that is away, and not while they are only at work', () => {
    const until = { atMs: at(23, 8, 0), untilMs: at(23, 17, 40) };
    const working = { ...away, isOnline: true };
    assert.deepEqual(
      log([started(1, 3), { ...waits, ...until, clients: [working] }, { ...waits, ...until, clients: [away] }]),
      ['waiting for lab-1 (offline since 23:07:45), 2 of 3 done, round ends at 23:17:40 at the latest'],
    );
    const evaluation = { ...waits, ...until, task: 'evaluate', clients: [away], more: 2 } as const;
    assert.match(log([evaluation])[0], /^waiting for lab-1 \(.*\), 2 more, 2 of 3 done, evaluation ends at /);
  });

  it('are named when they decline, with the way out that is left', () => {
    const declined = [{ client: 'lab-2', detail: 'policy: key: expected 1, got 3; next: lower it' }];
    const waiting = {
      kind: 'waiting',
      atMs: 0,
      round: 2,
      online: 2,
      need: 3,
      declines: 1,
      declined,
      minSurvivors: 2,
    } as const;
    const head = 'lab-2 declined this run: policy: key: expected 1, got 3; ';
    const stop = 'min-clients 3 can no longer be met: stop it, or ';
    const again = ' in a new run; a lab that changes its policy and starts again is asked again';
    const line = (more: object) => log([{ ...waiting, ...more }])[0];
    assert.equal(line({ enrolled: 3 }), `${head}${stop}set min-clients 2${again}`);
    assert.equal(line({ enrolled: 2 }), `${head}${stop}set min-clients 1 and min-survivors 1${again}`);
    assert.equal(line({ enrolled: 1 }), `${head}${stop}have the labs change their policies`);
    const missing = [{ client: 'lab-4' }];
    assert.equal(line({ enrolled: 4, missing }), `${head}waiting for clients: 2 of 3 online (lab-4 offline)`);
  });

  it('are named when the round goes on without them, five a round, unless that is how a round goes', () => {
    const drop = (client: string, reason: 'refused' | 'deadline' | 'superseded' | 'dropout', detail = '') =>
      ({ kind: 'dropped', atMs: 1, round: 1, client, reason, detail }) as const;
    assert.deepEqual(
      log([started(1), drop('c1', 'refused', 'policy'), drop('c2', 'deadline'), drop('c3', 'superseded')]),
      ['round 1/12  c1 declined this run: policy', 'round 1/12  goes on without c2  deadline'],
    );
    const none = 'no training examples here';
    assert.deepEqual(log([started(1), drop('c1', 'dropout', 'away'), drop('c2', 'dropout', none)]), [
      `round 1/12  goes on without c2  dropout: ${none}`,
    ]);
    const ten = Array.from({ length: 10 }, (_, i) => drop(`c${i + 1}`, 'deadline'));
    assert.equal(log([started(1), ...ten]).length, 5);
  });

  it('have their share of rounds at the end, the least first, before the last word', () => {
    const end = (clients: readonly { client: string; took: number; declined?: string }[], more = 0) =>
      log(
        [...wholeRounds(5), { kind: 'ended', atMs: 1, status: 'completed', reason: '', shares: { clients, more } }],
        5,
      ).slice(5);
    assert.deepEqual(
      end([
        { client: 'b', took: 0, declined: 'policy' },
        { client: 'a', took: 5 },
      ]).slice(0, -1),
      ['b took part in 0 of 5 rounds: declined: policy', 'a took part in 5 of 5 rounds'],
    );
    assert.match(end([{ client: 'a', took: 5 }])[0], /^each of 1 client took part in 5 of 5 rounds$/);
    const many = Array.from({ length: 7 }, (_, i) => ({ client: `c${i}`, took: i }));
    assert.equal(end(many, 3).at(-2), '5 more took part in 5 or more');
    assert.match(end([])[0], /^completed /);
  });
});

/** A time of today, here. */
function at(hours: number, minutes: number, seconds: number): number {
  return new Date(2026, 10, 24, hours, minutes, seconds).getTime();
}

describe('progress as a frame', () => {
  const inRound: RunEvent[] = [
    ...wholeRounds(3),
    started(4),
    { kind: 'progress', atMs: 5500, round: 4, client: 'c1', stepsDone: 5, stepsTotal: 10 },
    { kind: 'progress', atMs: 5500, round: 4, client: 'c4', stepsDone: 1, stepsTotal: 10 },
    { kind: 'arrived', atMs: 5600, round: 4, client: 'c1' },
    { kind: 'arrived', atMs: 5600, round: 4, client: 'c2' },
    { kind: 'dropped', atMs: 5700, round: 4, client: 'c3', reason: 'refused', detail: '' },
  ];

  it('shows the round, each client, the metric and the speed', () => {
    // Done: 3 rounds and (1 + 1 + 1 + 0.1) / 10 = 0.31 of the fourth: 3.31 / 12 = 27.58 %; of 40 cells 11 are full.
    // 30 updates and 3 x 1.8 MB in 5.4 s: 5.6 a second and 1 MB a second.
    // The middle value is 3.5 of 7 steps up, in binary a hair less, so 3.
    assert.deepEqual(frame(inRound, 6000), [
      'round          4/12     ━━━━━━━━━━━─────────────────────────────   27 %  6.0 s  ~16 s left',
      'cohort         ●●✕◐○○○○○○  2 arrived  1 training  6 waiting  1 dropped (c3: refused)',
      'test.accuracy  0.871  ▁▄█  best 0.871',
      'speed          5.6 updates/s  1 MB/s',
    ]);
  });

  it('shows before the first round what it waits for', () => {
    assert.deepEqual(frame([{ kind: 'waiting', atMs: 0, round: 1, online: 3, need: 10 }], 500), [
      'round          1/12     ────────────────────────────────────────    0 %  500 ms',
      'cohort         waiting for clients: 3 of 10 online',
      'test.accuracy  not evaluated yet',
    ]);
  });

  it('takes the best of a loss to be the least', () => {
    const state = initialProgress(3, { metric: 'test.loss', better: 'lower' });
    for (const [i, loss] of [0.9, 0.4, 0.6].entries()) advance(state, ended(i + 1, { metrics: { 'test.loss': loss } }));
    assert.equal(paint(liveLines(state, 0, 80)[2], 80, false), 'test.loss  0.600  █▁▄  best 0.400');
  });

  it('folds a cohort without room into a bar that keeps the shares, and shows whoever is there', () => {
    const events: RunEvent[] = [started(1, 1000)];
    for (let i = 1; i <= 500; i++) events.push({ kind: 'arrived', atMs: 1, round: 1, client: `c${i}` });
    events.push({ kind: 'dropped', atMs: 1, round: 1, client: 'c501', reason: 'failed', detail: '' });
    const line = frame(events, 1)[1];
    // 100 columns less 15 for the label, 37 for the counts and 1 spare are 47 glyphs: 23 arrived, 1 dropped, 23 wait.
    assert.ok(
      line.startsWith(`cohort         ${'●'.repeat(23)}${'○'.repeat(23)}✕  500 arrived  499 waiting  1 dropped`),
      line,
    );
  });

  it('does not let late progress or another round bring a client back', () => {
    const before = frame(inRound, 6000);
    const late: RunEvent[] = [
      { kind: 'progress', atMs: 5800, round: 4, client: 'c3', stepsDone: 1, stepsTotal: 2 },
      { kind: 'progress', atMs: 5800, round: 3, client: 'c9', stepsDone: 1, stepsTotal: 2 },
      { kind: 'arrived', atMs: 5800, round: 4, client: 'stranger' },
    ];
    assert.deepEqual(frame([...inRound, ...late], 6000), before);
  });

  it('is never wider than the terminal, and cuts no colour in two', () => {
    for (const columns of [20, 40, 80]) {
      for (const line of frame(inRound, 6000, columns)) assert.ok(Array.from(line).length <= columns, line);
    }
    assert.equal(
      paint(
        [
          { text: 'abc', tone: 'good' },
          { text: 'def', tone: 'bad' },
        ],
        4,
        true,
      ),
      '\u001b[32mabc\u001b[0m\u001b[31md\u001b[0m',
    );
    assert.equal(paint([{ text: 'abc', tone: 'good' }], 4, false), 'abc');
  });
});

describe('progress figures', () => {
  it('go by the latest five rounds', () => {
    // Ten rounds of 1.8 s, then five of 3.6 s: 3.6 s for each of the 5 left, and 50 updates in 18 s.
    const slow = Array.from({ length: 5 }, (_, i): RunEvent => ({ ...ended(11 + i), atMs: 18_000 + (i + 1) * 3600 }));
    const state = stateAfter([...wholeRounds(10), ...slow], 20);
    assert.equal(leftMs(state), 18_000);
    assert.deepEqual(rates(state), { updatesPerS: 50 / 18, bytesPerS: 9_000_000 / 18 });
  });

  it('know nothing before the first round has ended, and no time left after the end', () => {
    assert.equal(leftMs(stateAfter([started(1)])), null);
    assert.equal(rates(stateAfter([started(1)])), null);
    assert.equal(
      leftMs(stateAfter([...wholeRounds(3), { kind: 'ended', atMs: 9000, status: 'stopped', reason: '' }])),
      null,
    );
  });

  it('count a resumed run from where it began', () => {
    // Rounds 7 and 8 of 12 in 3.6 s: 4 left.
    assert.equal(leftMs(stateAfter([started(7), ended(7), started(8), ended(8)])), 7200);
  });

  it('draw a spark for the least, the middle and the greatest, and flat values flat', () => {
    assert.equal(sparkline([0, 0.5, 1], 10), '▁▅█');
    assert.equal(sparkline([2, 2], 10), '▄▄');
    assert.equal(sparkline([9, 0, 1], 2), '▁█');
    assert.equal(sparkline([], 5), '');
  });

  it('survive any event', () => {
    const kinds = [
      'waiting',
      'waiting-for',
      'round-started',
      'progress',
      'arrived',
      'dropped',
      'round-aborted',
      'round-ended',
      'ended',
      'new',
    ];
    const odd = fc.record({
      kind: fc.constantFrom(...kinds),
      atMs: fc.anything(),
      round: fc.anything(),
      attempt: fc.anything(),
      cohort: fc.anything(),
      client: fc.anything(),
      reason: fc.anything(),
      status: fc.anything(),
      online: fc.anything(),
      need: fc.anything(),
      stepsDone: fc.anything(),
      stepsTotal: fc.anything(),
      summary: fc.anything(),
      clients: fc.anything(),
      declined: fc.anything(),
      declines: fc.anything(),
      shares: fc.anything(),
      detail: fc.anything(),
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(odd, fc.anything())), (events) => {
        const state = initialProgress(12, HEADLINE);
        for (const event of events as RunEvent[]) {
          advance(state, event);
          plainLines(state, event);
          for (const line of liveLines(state, 1000, 80)) assert.ok(Array.from(paint(line, 80, false)).length <= 80);
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});
