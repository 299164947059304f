/** A ledger head on the wire, from the coordinator and back to it. */
import { fromHex, toHex } from '../hex.js';
import type { LedgerHead, SignedHead } from '../ledger/against.js';
import { checkLength, checkName, checkSha256, checkUint32 } from './checks.js';
import type { LedgerHead as HeadMessage } from './gen/starling/v1/participant.js';
import { SIGNATURE_BYTES } from './limits.js';

/** @throws FlError invalid-argument naming the field */
export function headToWire({ head, signature }: SignedHead): HeadMessage {
  return { ...checkHead(head), signature: checkSignature(fromHex(signature)) };
}

/** Inverse of {@link headToWire}. */
export function headFromWire(message: HeadMessage): SignedHead {
  return { head: checkHead(message), signature: toHex(checkSignature(message.signature)) };
}

function checkHead({ run, round, lineSha256 }: LedgerHead): LedgerHead {
  return {
    run: checkName('ledger_head.run', run),
    round: checkUint32('ledger_head.round', round),
    lineSha256: checkSha256('ledger_head.line_sha256', lineSha256),
  };
}

function checkSignature(bytes: Uint8Array): Uint8Array {
  return checkLength('ledger_head.signature', bytes, SIGNATURE_BYTES);
}
