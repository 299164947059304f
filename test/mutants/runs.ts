/** Mutants of the shell of a run: its order, its model, its noise, its plans. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

export const RUNS = [
  ...mutantsOf(
    'server/run/noise',
    ['server/run/noise', 'server/run/directory', 'secure/central-noise'],
    [
      [
        'each attempt has noise of its own',
        '{ run, kind, round, attempt, modelSha256 } :',
        '{ run, kind, round, modelSha256 } :',
      ],
      [
        'each round has noise of its own',
        '{ run, kind, round, attempt, modelSha256 } :',
        '{ run, kind, attempt, modelSha256 } :',
      ],
      ['a tree has one noise', ': { run, kind };', ': { run, kind, round };'],
      ['an erased secret draws nothing', 'if (isErased) throw', 'if (false as boolean) throw'],
      ['an erased secret is gone from the disk', 'await systemFiles.remove(join(directory, NOISE_FILE));', ''],
      ['a completed run’s secret goes at the next start', 'if (isOver) await noise.erase();', ''],
      ['a new run has a secret', "if (work.privacy?.mode !== 'central') return;", 'return;'],
    ],
  ),
  ...mutantsOf(
    'server/run/model',
    ['server/run/model', 'server/run/next-model', 'server/run/directory'],
    [
      [
        'a tensor that nobody moved stays',
        'for (const { offset, size } of still)',
        'for (const { offset, size } of [] as typeof still)',
      ],
      [
        'other channels replace',
        'for (const [offset, tensor] of replaced)',
        'for (const [offset, tensor] of [] as typeof replaced)',
      ],
      ['a model that is not finite ends the run', 'if (bad >= 0) throw', 'if (bad > 0) throw'],
      ['moments outlive a restart', 'await storeState(directory, sha256, strategyState);', ''],
      ['another model is not given out', 'if (sha256 !== model.sha256) throw', 'if (false as boolean) throw'],
      ['an offset is not behind the end', 'if (offset > file.length) throw', 'if (false as boolean) throw'],
      ['an update moves its own tensor', 'update.set(values, target.offset);', 'update.set(values, offset);'],
    ],
  ),
  ...mutantsOf(
    'server/run/plans',
    ['server/run/plans', 'server/run/run'],
    [
      [
        'each attempt has a nonce of its own',
        '`nonce/${run}/${kind}/${round}/${attempt}`',
        '`nonce/${run}/${kind}/${round}`',
      ],
      [
        'training and evaluation have nonces of their own',
        '`nonce/${run}/${kind}/${round}/${attempt}`',
        '`nonce/${run}/${round}/${attempt}`',
      ],
      [
        'a plan is kept by its attempt',
        '`${kind}/${state.round}/${state.attempt}/${Math',
        '`${kind}/${state.round}/${Math',
      ],
      [
        'a plan is kept by its kind',
        '`${kind}/${state.round}/${state.attempt}/${Math',
        '`${state.round}/${state.attempt}/${Math',
      ],
      ['a plan has the bound of the round', "kind === 'train' && spending?.isAdaptive && {", 'false && {'],
      ['a plan ages', '/${Math.ceil(deadlineMs / PLAN_AGE_MS)}`', '`'],
    ],
  ),
  ...mutantsOf(
    'server/run/run',
    ['server/run/shell', 'server/run/run', 'server/run/ledger'],
    [
      [
        'a record is in the journal before its ledger line',
        'await journal.append(record);',
        'void journal.append(record);',
      ],
      [
        'how far a client is counts if it was asked',
        'if (cohort === undefined || memberOf(cohort, client) === undefined) return;',
        'if (cohort === undefined) return;',
        ['server/coordinator'],
      ],
      ['a timer is of the stage of now', 'this.#cancelTimer(); // the engine', '// the engine'],
      ['a frame of another task is nobody’s', 'if (isAsked(this.#state, client, task)) this.#secure', 'this.#secure'],
      ['traffic is a round’s', 'this.traffic.up = 0;', ''],
      ['the model before is kept', '[this.#model.sha256, this.#previousSha256, ...', '[this.#model.sha256, ...'],
      ['a diverged run fails alone', "if (code !== 'aborted') throw error;", 'throw error;'],
      ['a model is the run’s once it is committed', 'this.#model = this.#next;\n  }', '}'],
      [
        'a completed run’s noise is erased',
        "if (record.kind === 'ended' && record.status === 'completed') await noise.erase();",
        '',
      ],
      [
        'a run that failed keeps its noise',
        "if (record.kind === 'ended' && record.status === 'completed') await",
        "if (record.kind === 'ended') await",
      ],
      ['an end ends what goes on', 'this.#secure.cancel();\n    }', '}'],
    ],
  ),
];
