// @ts-check
/** Leases of a stream: looked at when they come, held for a while, looked at again, released. */
import { pattern } from './wire.mjs';

/**
 * @typedef {import('devmem-tcp').Batch} Batch
 * @typedef {import('devmem-tcp').Fragment} Fragment
 */

/** Neighbours in the stream that lie somewhere in device memory: position, offset, size. */
/** @typedef {[number, number, number]} Piece */

export class Leases {
  #plan;
  #random;
  #view;
  #dmabufId;
  #start;
  #violate;
  /** Where the stream is at. */
  position = 0;
  /** Bytes of device memory and not, and leases held now. */
  deviceBytes = 0;
  linearBytes = 0;
  held = 0;
  heldEver = 0;

  /**
   * @param {object} options
   * @param {import('./plan.mjs').StreamPlan} options.plan
   * @param {import('./random.mjs').Random} options.random
   * @param {import('devmem-tcp').Binding} options.binding
   * @param {Uint8Array} options.view the binding's memory
   * @param {number} options.start of the stream in the pattern
   * @param {(text: string) => void} options.violate
   */
  constructor({ plan, random, binding, view, start, violate }) {
    this.#plan = plan;
    this.#random = random;
    this.#view = view;
    this.#dmabufId = binding.id;
    this.#start = start;
    this.#violate = violate;
  }

  /**
   * Takes what came next, to release it now or later.
   * @param {Batch | Fragment} lease
   */
  take(lease) {
    /** @type {Piece[]} */
    const pieces = [];
    if ('forEach' in lease) {
      lease.forEach(
        (offset, size, dmabufId) => {
          pieces.push(this.#device(offset, size, dmabufId));
        },
        (bytes) => {
          this.#linear(bytes);
        },
      );
    } else if (lease.bytes === undefined) {
      pieces.push(this.#device(lease.offset, lease.size, lease.dmabufId));
    } else {
      this.#linear(lease.bytes);
    }
    const { probability, maxMs } = this.#plan.hold;
    if (this.#random.chance(probability)) this.#hold(lease, pieces, this.#random.int(0, maxMs));
    else this.#release(lease);
  }

  /**
   * @param {number} offset
   * @param {number} size
   * @param {number} dmabufId
   * @returns {Piece}
   */
  #device(offset, size, dmabufId) {
    if (dmabufId !== this.#dmabufId) {
      this.#violate(`a fragment of dma-buf ${dmabufId}, but ${this.#dmabufId} is bound`);
    }
    /** @type {Piece} */
    const piece = [this.position, offset, size];
    this.#compare(piece, 'on arrival');
    this.position += size;
    this.deviceBytes += size;
    return piece;
  }

  /** @param {Uint8Array} bytes */
  #linear(bytes) {
    const at = pattern.mismatch(this.#start + this.position, bytes);
    if (at !== -1) this.#violate(`wrong linear byte at ${this.position + at}`);
    this.position += bytes.length;
    this.linearBytes += bytes.length;
  }

  /**
   * @param {Piece} piece
   * @param {string} when
   */
  #compare([position, offset, size], when) {
    const bytes = this.#view.subarray(offset, offset + size);
    const at = pattern.mismatch(this.#start + position, bytes);
    if (bytes.length === size && at === -1) return;
    const where = `${position + at} (fragment of ${size} bytes at ${offset})`;
    this.#violate(`wrong byte ${when} at ${where}`);
  }

  /**
   * @param {Batch | Fragment} lease
   * @param {Piece[]} pieces
   * @param {number} ms
   */
  #hold(lease, pieces, ms) {
    this.held++;
    this.heldEver++;
    setTimeout(() => {
      for (const piece of pieces) this.#compare(piece, `after ${ms} ms of holding`);
      if (this.#plan.hold.piecemeal && 'forEach' in lease) this.#releasePiecemeal(lease);
      else this.#releaseHeld(lease);
    }, ms);
  }

  /**
   * Half of the fragments one by one and in any order, the rest a little later.
   * @param {Batch} batch
   */
  #releasePiecemeal(batch) {
    const indices = this.#random.shuffled(Array.from({ length: batch.length }, (_, i) => i));
    for (const index of indices.slice(indices.length / 2)) batch.fragment(index).release();
    setTimeout(
      () => {
        this.#releaseHeld(batch);
      },
      this.#random.int(0, 100),
    );
  }

  /** @param {Batch | Fragment} lease */
  #releaseHeld(lease) {
    this.#release(lease);
    this.held--;
  }

  /** @param {Batch | Fragment} lease */
  #release(lease) {
    lease.release();
    if (!this.#random.chance(0.02)) return;
    lease.release();
    if (!lease.released) this.#violate('a lease is not released after release()');
    try {
      const offset = 'forEach' in lease ? lease.offset(0) : lease.offset;
      this.#violate(`a lease can be used after release(): offset ${offset}`);
    } catch {
      // ERR_DEVMEM_RELEASED
    }
  }
}
