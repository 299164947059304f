/** Receipts on their way to clients. */
import type { Receipt } from '../shared/run/plan.js';
import type { CoordinatorFrame } from '../shared/service.js';
import type { Identity } from '../shared/signing/identity.js';
import { signReceipts } from '../shared/signing/receipts.js';

/** Those that come together are signed together; who is not here asks when it comes back. */
export function sendReceipts(
  receipts: readonly Receipt[],
  { identity, send }: { readonly identity: Identity; send(client: string, frame: CoordinatorFrame): void },
): void {
  for (const signed of signReceipts(identity, receipts)) send(signed.receipt.client, { kind: 'receipt', ...signed });
}
