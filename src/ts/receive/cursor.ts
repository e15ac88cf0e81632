/**
 * Where a stream stands. What came is handed out from here and nowhere else, in the order
 * of the calls, so that fragments, batches and exact numbers of bytes can be asked for by
 * turns: no byte is skipped, none comes twice.
 */
import { Batch } from './batch.js';
import { type Fragment, FragmentLease } from './fragment.js';
import { Lease, NOBODY } from './lease.js';
import { RequestQueue, type Take, type Wish } from './request-queue.js';
import { LINEAR_SOURCE, looseColumns } from './ring.js';
import { SharedFragment } from './shared-fragment.js';

/** What the cursor asks of whoever fills it. */
export interface Supply {
  /** Something was taken, or somebody waits: more may be read. */
  wanted(): void;
  /** A batch went out whole, or the last of its fragments that will by themselves. */
  handedOut(batch: Batch): void;
  /** The end was taken, after the last byte. */
  finished(): void;
}

export class Cursor {
  readonly #supply: Supply;
  // A fragment of which a part was taken, before the batches.
  #front: SharedFragment | undefined;
  // In stream order. Of the first, `#index` fragments were taken.
  readonly #batches: Batch[] = [];
  #index = 0;
  // Of so many batches the bytes that are left were counted.
  #counted = 0;
  #countedBytes = 0;
  readonly #requests: RequestQueue;
  #finished = false;
  #closed = false;

  constructor(supply: Supply) {
    this.#supply = supply;
    this.#requests = new RequestQueue({
      wanted: () => {
        supply.wanted();
      },
      endTold: () => {
        this.#finish();
      },
    });
  }

  /** Batches that are there and not taken as a whole. */
  get ready(): number {
    return this.#batches.length;
  }

  /** Whether somebody waits. */
  get waiting(): boolean {
    return this.#requests.waiting;
  }

  /** Whether the end was taken, or nothing is wanted any more. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Whether it was closed before the end was taken. */
  get closed(): boolean {
    return this.#closed;
  }

  /** What it failed with before its end was taken. */
  get failure(): Error | undefined {
    return this.#requests.failure;
  }

  /** Fragments of the socket that are there and not wholly taken. */
  get fragmentsAhead(): number {
    let fragments = this.#front === undefined || this.#front.lessor === NOBODY ? 0 : 1;
    for (const { lease } of this.#batches) fragments += lease.lessor === NOBODY ? 0 : lease.count;
    return fragments - this.#index;
  }

  /** Bytes that are there and not taken. */
  get bytesAhead(): number {
    const batches = this.#batches;
    if (this.#counted === 0) this.#countedBytes = 0;
    while (this.#counted < batches.length) {
      const start = this.#counted === 0 ? this.#index : 0;
      const batch = batches[this.#counted++]!;
      this.#countedBytes += start === 0 ? batch.total : batch.bytesFrom(start);
    }
    return (this.#counted === 0 ? 0 : this.#countedBytes) + (this.#front?.left ?? 0);
  }

  /**
   * What `take` makes, at once or as soon as enough has come; `atEnd` after the end. An
   * error that ended the stream rejects one request; what `take` throws, its own. Requests
   * are met in order.
   *
   * @param take - one of those below, or several of them
   */
  request<T>(take: Take<T>, atEnd: T, wish: Wish = {}): Promise<T> {
    return this.#requests.request(take, atEnd, wish);
  }

  /** Rejects the request, if it still waits. */
  cancel(take: Take<unknown>, reason: Error): void {
    this.#requests.cancel(take, reason);
  }

  /**
   * No more can come before something is taken: rejects whoever is next and waits for it all
   * the same.
   *
   * @returns whether somebody was, and what is held may have changed
   */
  full(): boolean {
    return this.#requests.full();
  }

  /** The next fragment. */
  takeFragment(): Fragment | undefined {
    if (this.#front !== undefined) return new FragmentLease(this.#takeFront(), 0) as Fragment;
    const batch = this.#batches[0];
    if (batch === undefined) return undefined;
    this.#counted = 0;
    const index = this.#index++;
    if (this.#index === batch.lease.count) this.#advance(batch);
    return new FragmentLease(batch, index) as Fragment;
  }

  /** All that is left of the next batch. */
  takeBatch(): Batch | undefined {
    if (this.#front !== undefined) return this.#takeFront();
    const batch = this.#batches[0];
    if (batch === undefined) return undefined;
    this.#counted = 0;
    if (this.#index === 0) {
      this.#advance(batch);
      return batch;
    }
    const rest = batch.split(this.#index);
    this.#advance(batch);
    this.#supply.handedOut(rest);
    return rest;
  }

  /** So many bytes at most, and all that lie in one batch, or in one fragment that is shared. */
  takeUpTo(bytes: number): Batch | undefined {
    const front = this.#front;
    if (front !== undefined) return front.left <= bytes ? this.#takeFront() : this.#share(bytes);
    const batch = this.#whole();
    if (batch === undefined) return undefined;
    if (batch.total <= bytes) {
      this.#uncount(batch.total, 1);
      this.#advance(batch);
      return batch;
    }
    const { index, into } = batch.find(bytes);
    if (index === 0) {
      this.#cut(batch);
      return this.#share(bytes);
    }
    this.#batches[0] = batch.split(index, bytes - into);
    this.#uncount(bytes - into, 0);
    this.#supply.handedOut(batch);
    return batch;
  }

  /** Exactly so many bytes, once that many are there: batches, cut where need be. */
  takeBytes(bytes: number): Batch[] | undefined {
    if (this.bytesAhead < bytes) return undefined;
    const taken: Batch[] = [];
    for (let left = bytes; left > 0;) {
      const batch = this.takeUpTo(left)!;
      left -= batch.total;
      taken.push(batch);
    }
    return taken;
  }

  /**
   * Calls back for the batches that are there, or what is left of them, without taking any.
   *
   * @param see - true: go on
   */
  look(see: (batch: Batch) => boolean): void {
    if (this.#front !== undefined && !see(this.#front.rest)) return;
    this.#whole();
    for (const batch of this.#batches) if (!see(batch)) return;
  }

  /** What somebody waits for may be there, although no batch came. */
  again(): void {
    this.#requests.meet();
  }

  /** Comes next after all that is there. */
  push(batch: Batch): void {
    this.#batches.push(batch);
    this.#requests.meet();
  }

  /** Puts bytes before all that is there, which were taken or read elsewhere. */
  prepend(bytes: Uint8Array): void {
    if (this.#closed || bytes.length === 0) return;
    this.#unshare();
    this.#whole();
    const { columns, index } = looseColumns.add(0, bytes.length, LINEAR_SOURCE);
    this.#batches.unshift(Batch.make(new Lease(NOBODY, 0, 1), columns, index, bytes));
    this.#counted = 0;
  }

  /** Nothing more will come. What is there can still be taken. */
  end(error: Error | undefined): void {
    if (this.#requests.over) return;
    // After a failure the end is none that anybody could take.
    this.#finished ||= error !== undefined;
    this.#requests.end(error);
  }

  /**
   * Nothing more is wanted: gives back what was not taken, and answers whoever waits.
   *
   * @param error - rejects one request, though the end had come, if nobody had taken it: what
   *   is dropped here makes the stream a cut one
   */
  close(error?: Error): void {
    if (this.#requests.over && !this.#finished) this.#requests.fail(error);
    if (!this.#finished) this.#closed = true;
    this.#finished = true;
    if (this.#front !== undefined) this.#takeFront().release();
    if (this.#index > 0) this.takeBatch()?.release();
    this.#counted = 0;
    for (const batch of this.#batches.splice(0)) batch.release();
    this.end(error);
  }

  // The first batch, without what was taken of it.
  #whole(): Batch | undefined {
    const batch = this.#batches[0];
    if (batch === undefined || this.#index === 0) return batch;
    const rest = batch.split(this.#index);
    this.#batches[0] = rest;
    this.#index = 0;
    this.#supply.handedOut(batch);
    return rest;
  }

  // Makes the first fragment of the first batch the front one.
  #cut(batch: Batch): void {
    const { length } = batch;
    this.#uncount(batch.bytesFrom(0, 1), length === 1 ? 1 : 0);
    if (length > 1) this.#batches[0] = batch.split(1);
    else this.#batches.shift();
    this.#front = new SharedFragment(batch);
    if (length === 1) this.#supply.wanted();
  }

  #share(bytes: number): Batch {
    const part = this.#front!.take(bytes);
    this.#supply.handedOut(part);
    return part;
  }

  #takeFront(): Batch {
    const rest = this.#share(this.#front!.left);
    this.#front = undefined;
    return rest;
  }

  // What is left of the front fragment becomes a batch like others.
  #unshare(): void {
    const front = this.#front;
    if (front === undefined) return;
    this.#whole();
    this.#front = undefined;
    this.#counted = 0;
    this.#batches.unshift(front.take(front.left));
  }

  #uncount(bytes: number, batches: number): void {
    if (this.#counted === 0) return;
    this.#counted -= batches;
    this.#countedBytes -= bytes;
  }

  #advance(batch: Batch): void {
    this.#batches.shift();
    this.#index = 0;
    this.#supply.handedOut(batch);
    this.#supply.wanted();
  }

  #finish(): void {
    // Too little for one may be enough for another.
    if (this.#finished || this.bytesAhead > 0) return;
    this.#finished = true;
    this.#supply.finished();
  }
}
