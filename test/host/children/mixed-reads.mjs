// Reading a stream in all ways at once, at random.
import { DmaBuf } from '../../../dist/index.js';

import { random } from './random.mjs';

/** @typedef {import('devmem-tcp').SocketReader} SocketReader */

/** @param {DmaBuf | Uint8Array} target @param {number} offset @param {number} size */
export function bytesAt(target, offset, size) {
  if (target instanceof DmaBuf) return target.read(offset, size);
  return Buffer.from(target.subarray(offset, offset + size));
}

/** @param {import('devmem-tcp').Fragment} fragment */
export function bytesOf(fragment) {
  if (fragment.kind === 'linear') return fragment.bytes;
  return fragment.memory.read(fragment.offset, fragment.size);
}

/** What a stream of fragments on a GPU is read by, at random. */
export class Mixed {
  /** @type {string[]} */
  wrong = [];
  /** @type {Promise<void>[]} */
  #pending = [];
  #at = 0;

  /**
   * @param {SocketReader} reader
   * @param {Buffer} bytes what comes
   * @param {(DmaBuf | Uint8Array)[]} targets
   */
  constructor(reader, bytes, targets) {
    this.reader = reader;
    this.bytes = bytes;
    this.targets = targets;
    this.places = targets.map(() => 0);
  }

  get left() {
    return this.bytes.length - this.#at;
  }

  one() {
    const kind = random(7);
    const most = Math.min([10, 3000, 60_000][random(3)] ?? 0, this.left);
    const size = 1 + random(most);
    const { reader } = this;
    const wanted = this.bytes.subarray(this.#at, this.#at + size);
    if (kind < 3) this.#into(size, wanted);
    else if (kind === 3) this.#look('read', reader.read(size), wanted);
    else if (kind === 4) this.#skip(size);
    else if (kind === 5) this.#take(size, wanted);
    else {
      this.#look('peek', reader.peek(size), wanted);
      return;
    }
    this.#at += size;
  }

  async done() {
    const pending = this.#pending.splice(0);
    await Promise.all(pending);
  }

  /** @param {string} name @param {Promise<Uint8Array>} found @param {Buffer} wanted */
  #look(name, found, wanted) {
    this.#pending.push(
      found.then((bytes) => {
        if (!wanted.equals(bytes)) this.wrong.push(name);
      }),
    );
  }

  /** @param {number} size */
  #skip(size) {
    this.#pending.push(this.reader.skip(size));
  }

  /** @param {number} size @param {Buffer} wanted */
  #take(size, wanted) {
    const taken = this.reader.take(size).then((span) => {
      const parts = [...span].map(bytesOf);
      span.release();
      if (!wanted.equals(Buffer.concat(parts))) this.wrong.push('take');
    });
    this.#pending.push(taken);
  }

  /** @param {number} size @param {Buffer} wanted */
  #into(size, wanted) {
    const which = random(this.targets.length);
    const target = this.targets[which];
    if (target === undefined) return;
    const whole = target instanceof DmaBuf ? target.size : target.length;
    let offset = this.places[which] ?? 0;
    if (offset + size > whole) offset = 0;
    this.places[which] = offset + size + random(3);
    const filled = this.reader.readInto(target, { offset, length: size }).then((bytes) => {
      const found = bytesAt(target, offset, size);
      if (bytes !== size || !found.equals(wanted)) this.wrong.push(`readInto ${which}`);
    });
    this.#pending.push(filled);
  }
}
