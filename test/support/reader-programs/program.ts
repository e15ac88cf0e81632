/**
 * Random programs of a reader's calls, with a peer that sends in random pieces, against an
 * oracle: whatever is read has to be what is there at the place where it is read.
 */
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';

import { DmaBuf, type Payload, type SocketReader, type TransportName } from 'devmem-tcp';
import { Random } from '../../soak/random.mjs';
import { inTime } from '../interleavings/watchdog.js';
import { closing, reset } from '../peers.js';
import { bytesOf, pattern } from '../stream.js';
import { openReader, type Reading } from '../reading.js';
import { drawCall, type Means, verify } from './calls.js';
import { type Call, type Ending, Ledger } from './ledger.js';

const MEMORY = 128 * 1024;
// Enough that some copies are made on another thread.
const MUCH_MEMORY = 16 * MEMORY;
const MOST_PENDING = 6;
// For what takes some milliseconds, on a machine that is busy.
const LIMIT_MS = 20_000;

export async function runProgram(seed: number, transport: TransportName): Promise<void> {
  const random = new Random(seed);
  const size = random.chance(0.1) ? MUCH_MEMORY : MEMORY;
  await using reading = await openReader(transport, { size });
  await using target = await DmaBuf.allocate({ type: 'host', size: 4 * MEMORY + size });
  const program = new Program(random, reading, target);
  try {
    await inTime(program.run(), LIMIT_MS);
  } catch (error) {
    const again = `DEVMEM_SEED=${seed} npx vitest run --project host test/host/reader-interleavings.test.ts -t ${transport}`;
    const steps = [...program.steps.slice(-50), `State: ${program.state}`].join('\n');
    throw new Error(`seed ${seed}: ${String(error)}\nAgain: ${again}\n${steps}`, { cause: error });
  }
}

class Program {
  readonly steps: string[] = [];
  readonly #random: Random;
  readonly #reading: Reading;
  readonly #ending: Ending;
  readonly #bytes: number;
  readonly #ledger: Ledger;
  readonly #means: Means;
  readonly #controllers = new Map<AbortController, Call>();
  readonly #held: { lease: Payload; position: number; bytes: number }[] = [];
  #reader: SocketReader;
  // Where in the stream the reader began.
  #base = 0;
  #draining = false;

  constructor(random: Random, reading: Reading, target: DmaBuf) {
    const { memory, reader, bound, socket } = reading;
    this.#random = random;
    this.#reading = reading;
    this.#reader = reader;
    this.#ending = random.pick(['end', 'end', 'reset', 'close'] as const);
    this.#bytes = random.magnitude(1, 12 * MEMORY);
    this.#ledger = new Ledger(this.#bytes, this.#ending, socket.transport);
    const keep = (lease: Payload, position: number): void => this.#keep(lease, position);
    this.#means = { random, memory, target, keep, most: bound.binding.heldLimit };
  }

  async run(): Promise<void> {
    const sent = this.#send(this.#random.fork('peer'));
    for (let left = this.#random.int(3, 40); left > 0; left--) await this.#step();
    await this.#end();
    await sent;
    this.#ledger.settle();
  }

  async #send(random: Random): Promise<void> {
    const { peer } = this.#reading;
    const most = random.magnitude(1, MEMORY);
    for (let sent = 0; sent < this.#bytes && !peer.destroyed;) {
      if (this.#ending === 'reset' && random.chance(0.02)) break;
      // Many small ones take for ever.
      const size = sent > 4000 && most < 100 ? MEMORY : random.magnitude(1, most);
      const piece = pattern.slice(sent, Math.min(size, this.#bytes - sent));
      sent += piece.length;
      if (!peer.write(piece)) await Promise.race([once(peer, 'drain'), closing(peer)]);
      else if (random.chance(0.5)) await turn();
    }
    this.#note(`peer: ${this.#ending}`);
    if (this.#ending === 'reset') reset(peer);
    else if (this.#ending === 'end') peer.end();
  }

  async #step(): Promise<void> {
    const steps = { call: 10, abort: 2, release: 3, pause: 4, relock: 1, iterate: 1 };
    switch (this.#random.weighted(steps)) {
      case 'call':
        this.#call();
        break;
      case 'abort':
        await this.#abort();
        break;
      case 'release':
        this.#releaseSome();
        break;
      case 'pause':
        await turn();
        break;
      case 'relock':
        await this.#relock();
        break;
      case 'iterate':
        await this.#iterate();
    }
    this.#ledger.settle();
  }

  get state(): string {
    const { socket, bound } = this.#reading;
    const pending = this.#ledger.pending.map(({ wanted }) => wanted.name).join(', ');
    const { heldBytes } = bound.binding;
    const { stats, closed } = socket;
    const held = this.#held.length;
    return JSON.stringify({ pending, heldBytes, held, closed, bytes: this.#bytes, stats });
  }

  #call(): void {
    if (this.#ledger.pending.length >= MOST_PENDING) return;
    const wanted = drawCall(this.#means);
    const abortable = this.#random.chance(0.5);
    const controller = new AbortController();
    const options = abortable ? { signal: controller.signal } : {};
    this.#note(wanted.name);
    const call = this.#ledger.add(wanted, wanted.make(this.#reader, options));
    if (abortable) this.#controllers.set(controller, call);
  }

  async #abort(): Promise<void> {
    // What is done with has said so by then.
    await turn();
    this.#ledger.settle();
    const pending = [...this.#controllers].filter(([, call]) => call.answer === undefined);
    this.#controllers.clear();
    for (const [controller, call] of pending) this.#controllers.set(controller, call);
    if (pending.length === 0) return;
    const [controller, call] = this.#random.pick(pending);
    const reason = new Error('given up');
    controller.abort(reason);
    this.#note(`abort ${call.wanted.name}`);
    this.#ledger.giveUp([call], reason, this.#base + this.#reader.position);
  }

  async #relock(): Promise<void> {
    await turn();
    this.#ledger.settle();
    this.#unlock();
    this.#lock();
  }

  #unlock(): void {
    this.#note('releaseLock()');
    this.#reader.releaseLock();
    const position = this.#base + this.#reader.position;
    this.#ledger.giveUp(this.#ledger.pending, 'ERR_DEVMEM_READER', position);
    this.#base = position;
  }

  #lock(): void {
    this.#reader = this.#reading.socket.reader();
  }

  // By a batch or a fragment in between.
  async #iterate(): Promise<void> {
    await turn();
    this.#ledger.settle();
    this.#unlock();
    await this.#answered();
    // Such a stream does not end by itself.
    const more = this.#ending !== 'close' || this.#base < this.#bytes;
    if (more) await this.#iterateOnce();
    this.#lock();
  }

  async #iterateOnce(): Promise<void> {
    const { socket, memory } = this.#reading;
    const batches = this.#random.chance(0.5);
    this.#note(batches ? 'a batch' : 'a fragment');
    try {
      if (batches) {
        const { value } = await socket.batches({ preventClose: true }).next();
        if (value !== undefined) this.#took(value.byteLength, value);
      } else {
        const { value } = await socket[Symbol.asyncIterator]().next();
        if (value !== undefined) {
          if (!this.#ledger.lost) verify(bytesOf(value, memory), this.#ledger.position);
          this.#took(value.size);
          value.release();
        }
      }
    } catch (error) {
      if (this.#ending === 'end') throw error;
    }
  }

  #took(bytes: number, lease?: Payload): void {
    if (lease !== undefined) this.#means.keep(lease, this.#ledger.position);
    this.#ledger.position += bytes;
    this.#base += bytes;
  }

  #keep(lease: Payload, position: number): void {
    const bytes = lease.byteLength;
    if (this.#draining || this.#random.chance(0.5)) lease.release();
    else this.#held.push({ lease, position, bytes });
  }

  #releaseSome(): void {
    if (this.#held.length === 0) return;
    const [held] = this.#held.splice(this.#random.int(0, this.#held.length - 1), 1);
    this.#check(held!);
    held!.lease.release();
  }

  #check({ lease, position, bytes }: { lease: Payload; position: number; bytes: number }): void {
    if (this.#ledger.lost || bytes === 0) return;
    let at = position;
    for (const fragment of lease) at += verify(fragment.view(), at);
    if (at !== position + bytes) throw new Error(`a lease of ${bytes} bytes has ${at - position}`);
  }

  // Nothing is held any more, so that all that waits for memory goes on.
  async #answered(): Promise<void> {
    this.#draining = true;
    while (this.#held.length > 0) this.#releaseSome();
    while (this.#ledger.pending.length > 0) {
      await Promise.race(this.#ledger.pending.map(({ promise }) => promise.catch(() => {})));
      this.#ledger.settle();
    }
    this.#ledger.settle();
    this.#draining = false;
  }

  async #end(): Promise<void> {
    const { socket } = this.#reading;
    if (this.#ending === 'close') {
      this.#ledger.over = true;
      if (this.#random.chance(0.5)) socket.destroy();
      else void socket.close();
      this.#note('closes');
      await this.#answered();
      this.#reading.peer.destroy();
      return;
    }
    await this.#answered();
    await this.#readToEnd();
  }

  async #readToEnd(): Promise<void> {
    const target = new Uint8Array(MEMORY);
    for (;;) {
      const before = this.#ledger.position;
      const bytes = await this.#reader.readInto(target).catch((error: unknown) => {
        if (this.#ending === 'end') throw error;
        return 0;
      });
      if (!this.#ledger.lost) verify(target.subarray(0, bytes), before);
      this.#ledger.position += bytes;
      if (bytes < target.length) break;
    }
    if (this.#ending === 'end' && this.#ledger.position !== this.#bytes) {
      throw new Error(`${this.#ledger.position} of ${this.#bytes} bytes came`);
    }
  }

  #note(step: string): void {
    this.steps.push(`${this.#base + this.#reader.position}: ${step}`);
  }
}
