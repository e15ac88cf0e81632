// @ts-check
/** The output streams of the command, as they come out of the guest. */
import { fstatSync } from 'node:fs';
import { Transform } from 'node:stream';

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** How long a line may stay incomplete: a prompt, say, or a dot for each test. */
const PATIENCE_MS = 500;

/**
 * Whether two streams lead to one terminal, file or pipe.
 *
 * @param {import('node:stream').Writable} one
 * @param {import('node:stream').Writable} other
 */
export function leadToTheSame(one, other) {
  if (one === other) return true;
  const [a, b] = [one, other].map((stream) => /** @type {{ fd?: unknown }} */ (stream).fd);
  if (typeof a !== 'number' || typeof b !== 'number') return false;
  const [first, second] = [fstatSync(a), fstatSync(b)];
  return first.dev === second.dev && first.ino === second.ino;
}

/** Passes a stream through by whole lines, so that another one does not come in between. */
export class WholeLines extends Transform {
  /** The line that is not complete yet. */
  #held = Buffer.alloc(0);
  /** @type {NodeJS.Timeout | undefined} */
  #patience;

  /**
   * @override
   * @param {Buffer} chunk
   * @param {BufferEncoding} _encoding
   * @param {import('node:stream').TransformCallback} done
   */
  _transform(chunk, _encoding, done) {
    const bytes = Buffer.concat([this.#held, chunk]);
    const end = Math.max(bytes.lastIndexOf(NEWLINE), bytes.lastIndexOf(CARRIAGE_RETURN)) + 1;
    this.#held = bytes.subarray(end);
    if (end > 0) this.push(bytes.subarray(0, end));
    clearTimeout(this.#patience);
    if (this.#held.length > 0) this.#patience = setTimeout(() => this.#release(), PATIENCE_MS);
    done();
  }

  /**
   * @override
   * @param {import('node:stream').TransformCallback} done
   */
  _flush(done) {
    this.#release();
    done();
  }

  #release() {
    clearTimeout(this.#patience);
    if (this.#held.length > 0) this.push(this.#held);
    this.#held = Buffer.alloc(0);
  }
}

/**
 * Passes a stream through up to the marker that ends it, which it takes off.
 * `complete` tells whether the marker came: without it the guest died in between.
 */
export class MarkedStream extends Transform {
  complete = false;
  #marker;
  /** The newest bytes, which may be the marker's beginning. */
  #held = Buffer.alloc(0);

  /** @param {string} marker */
  constructor(marker) {
    super();
    this.#marker = Buffer.from(marker);
  }

  /**
   * @override
   * @param {Buffer} chunk
   * @param {BufferEncoding} _encoding
   * @param {import('node:stream').TransformCallback} done
   */
  _transform(chunk, _encoding, done) {
    const bytes = Buffer.concat([this.#held, chunk]);
    const cut = Math.max(0, bytes.length - this.#marker.length);
    this.#held = bytes.subarray(cut);
    if (cut > 0) this.push(bytes.subarray(0, cut));
    if (this.#held.equals(this.#marker)) {
      this.complete = true;
      this.#held = Buffer.alloc(0);
      // The reader sees the end now, not when QEMU is gone.
      this.push(null);
    }
    done();
  }

  /**
   * @override
   * @param {import('node:stream').TransformCallback} done
   */
  _flush(done) {
    if (!this.complete) this.push(this.#held);
    done();
  }
}
