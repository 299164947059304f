/** A coordinator's word on where it is, on the wire. */
import { MAX_NOTICE_ADDRESSES, type SignedNotice } from '../signing/address-notice.js';
import { formatAddress, parseAddress } from './address.js';
import { checkAtMost, checkLength, checkText, fromUint64, own, toUint64 } from './checks.js';
import type { AddressNotice as NoticeMessage } from './gen/starling/v1/participant.js';
import { MAX_ADDRESS_CHARS, SIGNATURE_BYTES } from './limits.js';

/** @throws FlError invalid-argument naming the field */
export function noticeToWire({ addresses, number, signature }: SignedNotice): NoticeMessage {
  return {
    addresses: checkAddresses(addresses),
    number: toUint64('addresses.number', number),
    signature: checkLength('addresses.signature', signature, SIGNATURE_BYTES),
  };
}

/** Inverse of {@link noticeToWire}; the signature is a copy. @throws FlError invalid-argument naming the field */
export function noticeFromWire({ addresses, number, signature }: NoticeMessage): SignedNotice {
  return {
    addresses: checkAddresses(addresses),
    number: fromUint64('addresses.number', number),
    signature: own(checkLength('addresses.signature', signature, SIGNATURE_BYTES)),
  };
}

/** The addresses as they are written by everybody. @throws FlError invalid-argument */
function checkAddresses(addresses: readonly string[]): string[] {
  checkAtMost('addresses', addresses.length, MAX_NOTICE_ADDRESSES);
  return addresses.map((address) =>
    formatAddress(parseAddress('addresses', checkText('addresses', address, MAX_ADDRESS_CHARS))),
  );
}
