import type { Batch, DevmemSocket, Fragment, StallMessage } from 'devmem-tcp';
import { Recorder } from './diagnostics.js';
import { bytesOf, Verifier } from './stream.js';

/** A consumer that gives nothing back until told to, and sees whether it is left in peace. */
export class Hoard implements AsyncDisposable {
  /** Batches taken, in stream order. */
  readonly batches: Batch[] = [];
  /** Bytes taken so far. */
  bytes = 0;
  readonly #socket: DevmemSocket;
  readonly #iterator: AsyncIterator<Batch, undefined>;
  readonly #fragments: { fragment: Fragment; position: number }[] = [];
  #next: Promise<IteratorResult<Batch, undefined>>;

  constructor(socket: DevmemSocket) {
    this.#socket = socket;
    this.#iterator = socket.batches();
    this.#next = this.#iterator.next();
  }

  /** Takes all that comes until reading stops for want of memory. */
  async fill(): Promise<StallMessage> {
    using stalls = new Recorder<StallMessage>('devmem-tcp:stall');
    for (;;) {
      const step = await Promise.race([this.#next, stalls.next()]);
      if ('heldLimit' in step) return step;
      if (!this.#keep(step)) throw new Error('the stream ended before reading stopped');
      const [message] = stalls.messages;
      if (message !== undefined) return message;
    }
  }

  /** Takes all that comes until the end and keeps it. */
  async takeAll(): Promise<void> {
    while (this.#keep(await this.#next));
  }

  /** Takes all that comes until the end, giving each batch back at once. */
  async drain(): Promise<void> {
    while (this.#keep(await this.#next)) this.batches.at(-1)?.release();
  }

  /** Throws unless all that is held still has the bytes that it came with. */
  check(): void {
    for (const { fragment, position } of this.#fragments) {
      if (!fragment.released) {
        new Verifier(position).look(bytesOf(fragment, this.#socket.binding.memory));
      }
    }
  }

  /** Gives the older half back, fragment by fragment. */
  releaseHalf(): void {
    const half = Math.ceil(this.#fragments.length / 2);
    for (const { fragment } of this.#fragments.slice(0, half)) fragment.release();
  }

  releaseAll(): void {
    for (const batch of this.batches) batch.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket.close();
    await this.drain();
    this.releaseAll();
  }

  // False at the end.
  #keep({ done, value: batch }: IteratorResult<Batch, undefined>): boolean {
    if (done === true) return false;
    this.batches.push(batch);
    for (const fragment of batch) {
      const verifier = new Verifier(this.bytes);
      verifier.look(bytesOf(fragment, this.#socket.binding.memory));
      this.#fragments.push({ fragment, position: this.bytes });
      this.bytes += verifier.bytes;
    }
    this.#next = this.#iterator.next();
    return true;
  }
}
