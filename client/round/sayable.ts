/** An answer as it will arrive, which is what is signed. */
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { Answer } from '../../shared/signing/answers.js';
import { clipText } from '../../shared/wire/checks.js';

/**
 * A detail that is too long for the wire is cut before it is signed. Metrics that are not finite have no signed form and
 * would be refused there: they are a failure.
 */
export function sayable(answer: Answer): Answer {
  if (answer.kind === 'evaluation' && !areFinite(answer.metrics)) {
    const detail = 'evaluation: expected finite metrics, got others';
    return { kind: 'decline', task: answer.task, reason: 'failed', detail };
  }
  return answer.kind === 'decline' ? { ...answer, detail: clipText(answer.detail) } : answer;
}

function areFinite(metrics: SumMetrics): boolean {
  return Object.values(metrics).every(({ sum, count }) => [...sum, count].every(Number.isFinite));
}
