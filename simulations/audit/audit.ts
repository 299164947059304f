/** How tight is the claim: the ε that attacks prove, beside the ε that the accountant promises, in every privacy mode. */
import type { ImageData } from '../../client/data/images.js';
import type { Workload } from '../../client/workload.js';
import { loadWorkload } from '../../client/workloads/index.js';
import { auditClientLevel, auditWithoutNoise } from './clients.js';
import { auditExamples } from './examples.js';
import { type AuditOptions, type AuditReport, type AuditSetting, refutedOf } from './report.js';

/** Mode by mode. @throws FlError not-found, data-missing, or invalid-argument: a workload without a loss of each example */
export async function auditPrivacy(options: AuditOptions): Promise<AuditReport> {
  const { selectBackend } = await import('../../client/backends/index.js');
  await selectBackend();
  const workload = (await loadWorkload(options.workload)) as Workload<ImageData>;
  const settings: AuditSetting[] = [];
  for (const mode of options.modes) {
    if (mode === 'example') settings.push(...(await auditExamples(workload, options)));
    else settings.push(await auditClientLevel(workload, mode, options));
  }
  if (options.modes.some((mode) => mode !== 'example')) settings.push(await auditWithoutNoise(workload, options));
  return { ...options, settings, refuted: refutedOf(settings) };
}
