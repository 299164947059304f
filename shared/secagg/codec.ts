/**
 * Canonical binary encoding for frames and for everything that is hashed or signed: fixed-width big-endian integers, raw
 * fixed-length bytes, and length-prefixed text. One value has one encoding; a reader accepts nothing else.
 */

/** Thrown by a {@link Reader} only; the machines turn it into the reason `malformed-frame`. */
export class MalformedFrame extends Error {
  override readonly name = 'MalformedFrame';
}

/** Growing moves the buffer, so a place is taken first and written to in a second statement. */
export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacityBytes = 256) {
    this.#bytes = new Uint8Array(capacityBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: number): this {
    const at = this.#advance(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.#advance(2);
    this.#view.setUint16(at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.#advance(4);
    this.#view.setUint32(at, value);
    return this;
  }

  u64(value: number): this {
    const at = this.#advance(8);
    this.#view.setBigUint64(at, BigInt(value));
    return this;
  }

  f64(value: number): this {
    const at = this.#advance(8);
    this.#view.setFloat64(at, value);
    return this;
  }

  raw(bytes: Uint8Array): this {
    const at = this.#advance(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  text(value: string): this {
    const bytes = new TextEncoder().encode(value);
    return this.u16(bytes.length).raw(bytes);
  }

  /** The bytes written so far; the writer must not be used afterwards. */
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #advance(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}

/** Reads what {@link Writer} wrote, front to back. Each method throws MalformedFrame where the bytes do not fit. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** A copy of the next `length` bytes. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(at, at + length));
  }

  /** UTF-8 text of at most `maxBytes`; refuses what would not encode back to the same bytes. */
  text(maxBytes: number): string {
    const length = this.u16();
    if (length > maxBytes) throw new MalformedFrame(`text of ${length} bytes, at most ${maxBytes}`);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.raw(length));
    } catch (error) {
      if (error instanceof MalformedFrame) throw error;
      throw new MalformedFrame('text is not UTF-8');
    }
  }

  /** Everything that is left. */
  rest(): Uint8Array {
    return this.raw(this.#bytes.length - this.#at);
  }

  end(): void {
    if (this.#at !== this.#bytes.length) {
      throw new MalformedFrame(`${this.#bytes.length - this.#at} bytes after the end`);
    }
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) {
      throw new MalformedFrame(`expected ${count} bytes at ${at}, got ${this.#bytes.length - at}`);
    }
    this.#at += count;
    return at;
  }
}

/** The parts one after the other, in an array that the caller owns. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Equality without an early exit, so that comparing secrets or tags takes the same time wherever they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

/** Lexicographic order: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    if (a[i] !== b[i]) return a[i] - b[i];
  }
  return a.length - b.length;
}

const HEX_OF_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX_OF_BYTE[byte];
  return text;
}

/** Inverse of {@link toHex}. @throws RangeError unless `hex` is an even number of hexadecimal digits */
export function fromHex(hex: string): Uint8Array {
  if (hex.length % 2 !== 0 || /[^0-9a-f]/i.test(hex)) throw new RangeError('hex: expected pairs of hexadecimal digits');
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (digit(hex, 2 * i) << 4) | digit(hex, 2 * i + 1);
  return bytes;
}

/** '0'..'9' are 0x30..0x39, 'a'..'f' and 'A'..'F' end in 1..6. */
function digit(hex: string, at: number): number {
  const code = hex.charCodeAt(at);
  return (code & 0xf) + (code > 0x39 ? 9 : 0);
}

/** One bit per index, least significant first; the padding bits of the last byte are zero. */
export function bitmapOf(indices: Iterable<number>, length: number): Uint8Array {
  const bits = new Uint8Array(Math.ceil(length / 8));
  for (const i of indices) bits[i >> 3] |= 1 << (i & 7);
  return bits;
}

/** Whether `index` is in a set of roster indices: bit i mod 8 of byte i / 8. */
export const bitmapHas = (bits: Uint8Array, index: number): boolean => ((bits[index >> 3] >> (index & 7)) & 1) === 1;

/** The indices in a bitmap of `length` bits, ascending. @throws MalformedFrame on wrong size or padding that is not 0 */
export function bitmapIndices(bits: Uint8Array, length: number): number[] {
  if (bits.length !== Math.ceil(length / 8)) throw new MalformedFrame(`bitmap of ${bits.length} bytes for ${length}`);
  const indices: number[] = [];
  for (let i = 0; i < bits.length * 8; i++) {
    if (!bitmapHas(bits, i)) continue;
    if (i >= length) throw new MalformedFrame('bitmap padding is not zero');
    indices.push(i);
  }
  return indices;
}
