/**
 * Each round's model on a central test set, while the run goes on: `central.jsonl` in the run directory, a line for each
 * round, so that a run that is resumed has those of its first rounds.
 */
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../server/run/run.js';
import { FlError } from '../shared/errors.js';
import type { CentralFigures } from '../shared/run/report.js';
import type { Params } from '../shared/tensors/params.js';

/** In a run directory. */
export const CENTRAL_FILE = 'central.jsonl';

/** Judges the model of a round. */
export type JudgeRound = (model: Params, round: number) => Promise<CentralFigures>;

/** One of them, with the hash of the model. */
export interface CentralLine extends CentralFigures {
  readonly round: number;
  readonly modelSha256: string;
}

/**
 * From now on; a model that was made before, if its round is the last and has no line, too. A model that cannot be judged
 * ends the run. `settled` resolves to the figures by round, when all models so far are judged.
 */
export function judgeRounds(
  run: Pick<Run, 'directory' | 'feed' | 'model' | 'state' | 'post'>,
  about: { readonly before: readonly CentralLine[]; readonly judge: JudgeRound; told?(line: CentralLine): void },
): { settled(): Promise<ReadonlyMap<number, CentralFigures>> } {
  const { before, judge, told } = about;
  const path = join(run.directory, CENTRAL_FILE);
  const lines = new Map(before.map((line) => [line.round, line]));
  let last: Promise<unknown> = Promise.resolve();
  function judgeNow(round: number): void {
    const { params, sha256: modelSha256 } = run.model;
    if (lines.get(round)?.modelSha256 === modelSha256) return;
    last = last
      .then(async () => {
        const line = { round, modelSha256, ...(await judge(params, round)) };
        await appendFile(path, `\n${JSON.stringify(line)}\n`);
        lines.set(round, line);
        told?.(line);
      })
      .catch((thrown) => {
        run.post({ kind: 'stop', status: 'failed', reason: `evaluate-on: ${FlError.from(thrown).message}` });
      });
  }
  const { round, status } = run.state;
  const over = status === 'completed' ? round : round - 1;
  if (over > 0) judgeNow(over);
  run.feed.subscribe((event) => {
    if (event.kind === 'round-ended') judgeNow(event.summary.round);
  });
  return { settled: () => last.then(() => lines) };
}

/** What was judged before; a last line that a kill has cut short is none, and spoils no other. */
export async function centralLinesIn(directory: string): Promise<CentralLine[]> {
  const text = await readFile(join(directory, CENTRAL_FILE), 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as CentralLine];
    } catch {
      return [];
    }
  });
}
