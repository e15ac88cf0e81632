/** Reading and writing C structures in the host's byte order. */
import { endianness } from 'node:os';

const little = endianness() === 'LE';

/** A structure in memory: fields by their offset. What is not set is 0. */
export class Struct {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  /** @param storage - its size for a new one, or where an existing one lies */
  constructor(storage: number | Uint8Array) {
    this.bytes = typeof storage === 'number' ? new Uint8Array(storage) : storage;
    const { buffer, byteOffset, byteLength } = this.bytes;
    this.#view = new DataView(buffer, byteOffset, byteLength);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, little);
  }

  setU32(at: number, value: number): this {
    this.#view.setUint32(at, value, little);
    return this;
  }

  /** A u64, exact up to 2^53. */
  u64(at: number): number {
    return Number(this.bigU64(at));
  }

  bigU64(at: number): bigint {
    return this.#view.getBigUint64(at, little);
  }

  setU64(at: number, value: number): this {
    this.#view.setBigUint64(at, BigInt(value), little);
    return this;
  }

  /** A u16 in network byte order, as ports are. */
  be16(at: number): number {
    return this.#view.getUint16(at, false);
  }

  setBe16(at: number, value: number): this {
    this.#view.setUint16(at, value, false);
    return this;
  }

  /** Text up to its terminating zero, in a field of `size` bytes. */
  text(at: number, size: number): string {
    const field = this.bytes.subarray(at, at + size);
    const end = field.indexOf(0);
    return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString();
  }
}
