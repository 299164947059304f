/** Mutants of the coordinator: who is asked in a round, waited for, late, shut out; and what a restored one is shown. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

const SHOWN = ['server/round/shown'];
const WAITING = ['server/round/waiting'];
const STEP = ['server/round/step'];

export const ROUNDS = [
  ...mutantsOf(
    'server/round/attendance',
    ['server/round/attendance', 'server/round/silent'],
    [
      ['who trains late is not tested either', '[train, kind ===', "[kind === 'train' ? train : undefined, kind ==="],
      ['who is late is passed over one round, then two', '2 ** (late.times - 1)', '2 ** late.times'],
      [
        'a silent lab is asked again after 32',
        'Math.min(2 ** (late.times - 1), MOST_ROUNDS_PASSED_OVER)',
        '2 ** (late.times - 1)',
      ],
      ['who answers is on time again', 'const { [kind]: _, ...before } =', 'const before ='],
      ['an evaluation is no part in a model', "(kind === 'train' ? 1 : 0)", '1'],
      ['who was late least often is asked first', 'times(a) - times(b)', 'times(b) - times(a)'],
      ['of the late only as many as it takes', '.slice(0, Math.min(most, least))', '.slice(0, most)'],
      ['who declined was not late', "reason === 'deadline' ? client : []", 'reason ? client : []'],
      [
        'who is due is asked',
        'askedAgainIn(attendances, client, kind) > round',
        'askedAgainIn(attendances, client, kind) >= round',
      ],
    ],
  ),
  ...mutantsOf(
    'server/round/moves',
    ['server/round/moves', ...STEP],
    [
      [
        'no secure cohort is smaller than three',
        'secure ? Math.max(3, minSurvivors) : minSurvivors',
        'minSurvivors',
        ['server/round/silent'],
      ],
      ['each attempt draws anew', '${label}/${round}/${attempt}', '${label}/${round}'],
      [
        'training and evaluation draw apart',
        '`${label}/${round}/${attempt}`',
        '`${round}/${attempt}`',
        ['server/round/moves'],
      ],
      ['two attempts fail in a breath', 'times <= PROMPT_ATTEMPTS', 'times < PROMPT_ATTEMPTS', SHOWN],
      [
        'an aggregation is told who left',
        "if (state.spec.secure) out.push({ kind: 'leave-secure', client });",
        '',
        ['server/round/step', 'server/round/excluded'],
      ],
      ['who was too late is told', "out.push({ kind: 'withdraw', client, task: taskOf(state), reason });", ''],
      ['a resumed run asks those again that refused', 'refused: {}, empty: [], attempt,', 'empty: [], attempt,'],
      [
        'a resumed run asks those again that had no example',
        'refused: {}, empty: [], attempt,',
        'refused: {}, attempt,',
        ['server/round/moves'],
      ],
      ['a secure round has five deadlines', '(spec.secure ? 5 : 1) * spec.deadlineMs', 'spec.deadlineMs'],
      ['a resumed run counts its attempts anew', 'attempt, firstAttempt: attempt, stage', 'attempt, stage'],
    ],
  ),
  ...mutantsOf(
    'server/round/excluded',
    ['server/round/excluded'],
    [
      [
        'a masked sum that is being stored counts',
        "if (spec.secure || member.status !== 'arrived')",
        "if (member.status !== 'arrived')",
      ],
      [
        'an aggregation is told whom it may not hold',
        "if (spec.secure) turn.out.push({ kind: 'exclude-secure', client });",
        '',
      ],
      [
        'it is told before the client has left it',
        "if (spec.secure) turn.out.push({ kind: 'exclude-secure', client });\n  const next = drop(state, client, why, turn);",
        "const next = drop(state, client, why, turn);\n  if (spec.secure) turn.out.push({ kind: 'exclude-secure', client });",
      ],
      [
        'who is shut out is not here',
        '{ ...before, online: before.online.filter((name) => name !== client) }',
        '{ ...before }',
      ],
      [
        'only an update that is in the sum voids it',
        "if (member.status !== 'arrived' || next.stage.kind !== 'training')",
        "if (next.stage.kind !== 'training')",
      ],
      [
        'who was dropped before has nothing to lose',
        "if (member === undefined || member.status === 'dropped') return state;",
        'if (member === undefined) return state;',
      ],
    ],
  ),
  ...mutantsOf('server/round/shown', SHOWN, [
    [
      'an attempt that was shown is news once',
      'attempt > Math.max(state.attempt, state.shownAttempt ?? 0)',
      'attempt > state.attempt',
    ],
    [
      'what is known is no news',
      '(isCommitted ? round : round - 1) > lastInModel(state)',
      '(isCommitted ? round : round - 1) >= lastInModel(state)',
    ],
    [
      'an attempt that was shown is not made again',
      'const nextAttempt = shownAttempt + 1;',
      'const nextAttempt = shownAttempt;',
    ],
    [
      'those who refused are not asked because of it',
      'return { ...resumed(state, nextAttempt), refused };',
      'return resumed(state, nextAttempt);',
    ],
    [
      'a new attempt number outlives a crash',
      "out.push({ kind: 'record', record: { kind: 'resumed', atMs, nextAttempt } });",
      '',
    ],
    ['a completed run knows its last round', "|| status === 'completed' ? round", '? round'],
    ['the last round that was shown is told', 'return done > known ?', 'return true ?'],
    ['a model that is being judged is in it', "|| stage.kind === 'evaluating'", ''],
  ]),
  ...mutantsOf('server/round/waiting', WAITING, [
    ['the deadline comes first', 'if (untilMs >= deadlineAtMs) return state;', ''],
    ['enough are enough', 'counts.arrived < spec.minSurvivors', 'counts.arrived <= spec.minSurvivors'],
    ['a timer that is early ends no wait', '&& atMs >= untilMs', ''],
    ['the wait is what the run says', 'spec.offlineWaitMs ?? OFFLINE_WAIT_MS', 'OFFLINE_WAIT_MS'],
    [
      'one judgement at least is waited for',
      "if (work.kind === 'evaluating' && counts.evaluated === 0) return false;",
      '',
    ],
    ['who is here is waited for', '|| positionOf(online, name) < 0', '|| true'],
    [
      'who comes back has the whole round',
      "out.push({ kind: 'timer', id: timerId(state), atMs: deadlineAtMs });\n    return { ...state, stage: present };",
      'return { ...state, stage: present };',
    ],
    ['few who can train is said', 'willing(state).length >= spec.minClients && able < least', 'able < least'],
  ]),
  ...mutantsOf('server/round/step', STEP, [
    ['who comes back has its plan again', 'if (isAsked(state, client)) out.push(planFor(state, client));', ''],
    [
      'a site is not asked again under the same policy',
      'refusal?.policy === policy ? state.refused : others',
      'others',
      WAITING,
    ],
    [
      'a run that is forgotten is not resumed',
      '|| state.forgotten !== undefined) return state;',
      ') return state;',
      SHOWN,
    ],
    [
      'a timer of another wait is none',
      'if (event.id !== timerId(state) && !isAbsenceOver(state, event)) return state;',
      '',
    ],
    [
      'only what was asked can be declined',
      'if (!isAsked(state, client, task)) return state;',
      'if (!isAsked(state, client)) return state;',
    ],
    [
      'a stopped run voids what has come',
      "if (stage.kind === 'training' || stage.kind === 'committing') voidArrivals",
      "if (stage.kind === 'training') voidArrivals",
      ['server/round/moves'],
    ],
    [
      'a committed round counts though it is stopped',
      "if (stage.kind !== 'committed' && stage.kind !== 'evaluating') return end",
      "if (stage.kind !== 'evaluating') return end",
    ],
    ['a pause ends', "reason === '' ? undefined : reason", 'reason'],
    ['a cut-off client was last seen now', 'away: { ...state.away, [client]: atMs }', 'away: state.away', WAITING],
    ['those who are present are sorted', 'online: [...clients].sort()', 'online: [...clients]'],
    ['a stop ends a run once', "if (stage.kind === 'ended') return state;\n  if (workOf", 'if (workOf'],
    ['a completed run is not resumed', "|| state.status === 'completed' ||", '||'],
  ]),
  ...mutantsOf(
    'server/round/restore',
    ['server/round/restore'],
    [
      [
        'a checkpoint is second or nowhere',
        "if (index > 0) throw new FlError('corrupt', 'journal: a \"checkpoint\"",
        "if (index > 9) throw new FlError('corrupt', 'journal: a \"checkpoint\"",
      ],
      [
        'who was late in an aborted attempt was late',
        "attended(state.attendances, { ...record, kind: 'train' })",
        'state.attendances',
        ['server/round/silent', 'server/round/restore'],
      ],
      [
        'who was late in evaluations was late',
        "attended(state.attendances, { kind: 'evaluate', round: summary.round, late, back })",
        'state.attendances',
        ['server/round/silent', 'server/round/restore'],
      ],
      [
        'a run that has ended stays so',
        'return isOver(closed) === false ? nextRound(closed) : closed;',
        'return nextRound(closed);',
        ['server/round/restore', 'simulations/stop-when'],
      ],
      [
        'the figure that stops a run outlives a crash',
        '{ ...withJudgement(state, summary), attendances,',
        '{ ...state, attendances,',
        ['simulations/stop-when'],
      ],
    ],
  ),
  ...mutantsOf(
    'server/round/evaluation',
    ['server/round/evaluation'],
    [
      ['who trained and is away is missed only where all are asked', 'spec.evaluateClients === 0 ? away : []', 'away'],
      ['who judged nothing is in no figure', 'clients: answers.length - empty.length', 'clients: answers.length'],
      [
        'a run waits for its evaluators',
        'if (online.length < spec.minClients && !isDue) return state;',
        'if (online.length < 1 && !isDue) return state;',
      ],
      [
        'a round that nobody judged says nothing of when to stop',
        'if (value === undefined && !evaluated?.clients) return state;',
        '',
        ['server/round/evaluation'],
      ],
      [
        'the last evaluation asks who was late too',
        'least: isLast ? most : Math.max',
        'least: Math.max',
        ['server/round/evaluation', 'server/round/silent'],
      ],
      [
        'zeros count for no client',
        'cohort.counts.evaluated - (zeroed ?? 0)',
        'cohort.counts.evaluated',
        ['server/round/evaluation'],
      ],
    ],
  ),
  ...mutantsOf(
    'shared/run/stop-when',
    ['shared/run/stop-when'],
    [
      ['a gain is more than its least', 'gain > minDelta', 'gain >= minDelta'],
      [
        'better is lower or higher',
        "better === 'lower' ? best.value - value : value - best.value",
        'Math.abs(best.value - value)',
      ],
      ['patience is so many evaluations', 'since < patience', 'since <= patience'],
      [
        'a round without the figure counts against it',
        'return { ...(best && { best }), since: since + 1 };',
        'return { ...(best && { best }), since };',
      ],
      ['a gain starts the count again', 'since: 0 } : { best', 'since } : { best'],
      [
        'a figure that never was is said',
        'if (best === undefined) return `stop-when',
        'if (best === undefined) return undefined; else if (false as boolean) return `stop-when',
      ],
      [
        'each key is said once',
        "if (Object.hasOwn(out, key)) throw invalidArgument('stop-when', 'each key once', key);",
        '',
      ],
    ],
  ),
  ...mutantsOf(
    'server/updates/pace',
    ['server/updates/pace'],
    [
      ['waiting spends the grace', 'Math.max(0, leftMs - waitedMs) + earnedMs', 'leftMs + earnedMs'],
      [
        'speed is not saved up',
        'Math.min(UPLOAD_GRACE_MS, Math.max(0, leftMs - waitedMs) + earnedMs)',
        'Math.max(0, leftMs - waitedMs) + earnedMs',
      ],
      ['what was given up is not read on', 'slow.given, stop.given]', 'slow.given]'],
      ['a source that ends is left', 'source.return?.().then(undefined, () => {});', ''],
      ['bytes earn what they weigh', '(1000 * next.value.length) / LEAST', '1000 / LEAST'],
      ['no timer is left behind', '.finally(cancel)', ''],
    ],
  ),
];
