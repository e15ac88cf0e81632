// @ts-check
/** An output stream of the command, as it comes out of the guest. */
import { Transform } from 'node:stream';

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
