/**
 * One connection, driven by random steps at both ends up to its close, and what has to be
 * true of it in the end. The seed brings the same steps back, if not the kernel's timing.
 */
import { once } from 'node:events';
import type net from 'node:net';
import { setImmediate as immediate, setTimeout as delay } from 'node:timers/promises';

import { type Binding, connect, type DevmemSocket } from 'devmem-tcp';

import { Random } from '../soak/random.mjs';
import { close, LOOPBACK, PlainServer } from './peers.js';
import { eachPiece, pattern, Verifier } from './stream.js';

const KiB = 1024;
const MiB = 1024 * KiB;
// Nothing that is waited for takes so long.
const LIMIT_MS = 20_000;

const STEPS = Object.freeze({
  write: 12,
  writeMuch: 1,
  read: 4,
  readBriefly: 1,
  next: 2,
  end: 2,
  close: 1,
  destroy: 0.3,
  destroyError: 0.3,
  abort: 0.3,
  cut: 0.3,
  cutError: 0.3,
  peerWrite: 6,
  peerEnd: 2,
  peerReset: 0.3,
  peerDestroy: 0.3,
  peerPause: 1,
  peerResume: 1,
});

type Step = keyof typeof STEPS;

// Of the peer, once close() was called: it ends, never ends, or never reads nor ends.
type Manner = 'polite' | 'stubborn' | 'deaf';

const PLANNED = new Error('planned');

export class Interleaving {
  readonly #random: Random;
  readonly #binding: Binding;
  readonly #manner: Manner;
  readonly #trace: string[] = [];
  readonly #aborter = new AbortController();
  readonly #reads: Promise<unknown>[] = [];
  readonly #events: string[] = [];
  readonly #toPeer = new Verifier();
  readonly #fromPeer = new Verifier();
  #socket!: DevmemSocket;
  #peer!: net.Socket;
  #written = 0;
  #acknowledged = 0;
  #unanswered = 0;
  #sentByPeer = 0;
  #reading = false;
  #readToEnd = false;
  // Somebody ended the connection by force.
  #cut = false;

  constructor(seed: number, binding: Binding) {
    this.#random = new Random(seed);
    this.#binding = binding;
    this.#manner = this.#random.weighted({ polite: 8, stubborn: 1, deaf: 1 });
    this.#trace.push(`seed ${seed}`, this.#manner);
  }

  /** @throws Error with the steps, where anything is not as it has to be */
  async run(): Promise<void> {
    await using server = await PlainServer.listen({ allowHalfOpen: true });
    try {
      await this.#open(server);
      const steps = this.#random.int(1, 16);
      for (let i = 0; i < steps; i++) await this.#step(this.#random.weighted(STEPS));
      await this.#finish();
      this.#judge();
    } catch (error) {
      throw new Error(`${this.#trace.join(', ')}: ${String(error)}`, { cause: error });
    } finally {
      this.#socket.destroy();
      await close(this.#peer);
    }
  }

  async #open(server: PlainServer): Promise<void> {
    const accepted = server.accept();
    const allowHalfOpen = this.#random.chance(0.5);
    this.#trace.push(allowHalfOpen ? 'half-open' : 'not half-open');
    this.#socket = await connect({
      binding: this.#binding,
      host: LOOPBACK,
      port: server.port,
      allowHalfOpen,
      signal: this.#aborter.signal,
      closeTimeout: this.#manner === 'polite' ? LIMIT_MS : this.#random.pick([0, 1, 30]),
    });
    this.#peer = await accepted;
    this.#peer.on('data', (piece) => this.#toPeer.look(piece));
    this.#peer.on('end', () => this.#events.push('peer end'));
    this.#socket.on('close', () => this.#events.push('socket close'));
    const { writable } = this.#socket;
    for (const event of ['finish', 'error', 'close']) {
      writable.on(event, () => this.#events.push(event));
    }
  }

  async #step(step: Step): Promise<void> {
    this.#trace.push(step);
    this.#take(step);
    const pause = this.#random.weighted({ none: 3, turn: 2, time: 1 });
    if (pause === 'turn') await immediate();
    else if (pause === 'time') await delay(this.#random.int(1, 3));
  }

  #take(step: Step): void {
    const socket = this.#socket;
    const peer = this.#peer;
    switch (step) {
      case 'write': {
        this.#write(this.#random.magnitude(1, 200 * KiB));
        return;
      }
      case 'writeMuch': {
        this.#write(12 * MiB);
        return;
      }
      case 'read': {
        this.#read(Infinity);
        return;
      }
      case 'readBriefly': {
        this.#read(this.#random.int(0, 2));
        return;
      }
      case 'next':
        if (!this.#reading) this.#reads.push(this.#next(socket.batches()));
        return;
      case 'end':
        socket.writable.end();
        return;
      case 'close':
        void socket.close();
        return;
      case 'peerWrite': {
        this.#writeFromPeer(this.#random.magnitude(1, 500 * KiB));
        return;
      }
      case 'peerEnd':
        peer.end();
        return;
      case 'peerPause':
        peer.pause();
        return;
      case 'peerResume':
        peer.resume();
        return;
      default:
        this.#cut = true;
        this.#force(step);
    }
  }

  #force(step: Step): void {
    if (step === 'destroy') this.#socket.destroy();
    else if (step === 'destroyError') this.#socket.destroy(PLANNED);
    else if (step === 'abort') this.#aborter.abort(PLANNED);
    else if (step === 'cut') this.#socket.writable.destroy();
    else if (step === 'cutError') this.#socket.writable.destroy(PLANNED);
    else if (step === 'peerReset' && !this.#peerEnding) this.#peer.resetAndDestroy();
    else this.#peer.destroy();
  }

  // Node keeps the descriptor of a socket that is reset while its end is on its way.
  get #peerEnding(): boolean {
    return this.#peer.writableEnded && !this.#peer.writableFinished;
  }

  #write(size: number): void {
    const { writable } = this.#socket;
    // A write after the end is a fault of who writes, and ends the connection.
    if (writable.writableEnded) return;
    const piece = stretch(this.#written, size);
    this.#written += size;
    this.#unanswered++;
    writable.write(piece, (error) => {
      this.#unanswered--;
      if (!error) this.#acknowledged += size;
    });
  }

  #writeFromPeer(size: number): void {
    if (this.#peer.writableEnded || this.#peer.destroyed) return;
    this.#peer.write(pattern.slice(this.#sentByPeer, size));
    this.#sentByPeer += size;
  }

  #read(batches: number): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#reads.push(this.#readLoop(batches).catch(() => {}));
  }

  // Leaving the loop before the end destroys the connection.
  async #readLoop(batches: number): Promise<void> {
    let left = batches;
    for await (using batch of this.#socket.batches()) {
      eachPiece(batch, this.#binding.memory, (piece) => this.#fromPeer.look(piece));
      if (left-- > 0) continue;
      this.#cut = true;
      return;
    }
    this.#readToEnd = !this.#socket.closed;
  }

  async #next(batches: AsyncIterator<Disposable, undefined>): Promise<void> {
    this.#reading = true;
    const { value } = await batches.next().catch(() => ({ value: undefined }));
    value?.[Symbol.dispose]();
  }

  async #finish(): Promise<void> {
    this.#trace.push('finish');
    if (this.#manner !== 'deaf') this.#peer.resume();
    else this.#peer.pause();
    if (this.#manner === 'polite') this.#peer.end();
    await within(this.#socket.close(), 'close()');
    await within(Promise.all(this.#reads), 'a read');
    const { writable } = this.#socket;
    if (!writable.closed) await within(once(writable, 'close'), "the writing side's 'close'");
    if (this.#whole) await within(this.#peerEnd(), 'the end at the peer');
    await immediate();
  }

  async #peerEnd(): Promise<void> {
    if (!this.#events.includes('peer end')) await once(this.#peer, 'end');
  }

  // Whether nothing may be lost: a stubborn peer's own bytes can come after the deadline.
  get #whole(): boolean {
    if (this.#cut || this.#manner === 'deaf') return false;
    return this.#manner === 'polite' || (this.#sentByPeer === 0 && !this.#timedOut);
  }

  get #timedOut(): boolean {
    const error: NodeJS.ErrnoException | undefined = this.#socket.error;
    return error?.code === 'ERR_DEVMEM_CLOSE_TIMEOUT';
  }

  #judge(): void {
    const events = (name: string) => this.#events.filter((each) => each === name).length;
    const { error, stats } = this.#socket;
    check(events('socket close') === 1, `'close' came ${events('socket close')} times`);
    check(events('close') === 1, `the writing side closed ${events('close')} times`);
    check(events('finish') + events('error') <= 1, `events: ${this.#events.join()}`);
    check(this.#unanswered === 0, `${this.#unanswered} writes have no answer`);
    check(this.#toPeer.bytes <= this.#written, 'the peer has more than was written');
    check(this.#fromPeer.bytes <= this.#sentByPeer, 'more came than the peer sent');
    check(stats.heldFragments === 0, `${stats.heldFragments} fragments are held`);
    if (events('finish') > 0) {
      check(this.#acknowledged === this.#written, 'it finished, and writes had failed');
    }
    if (this.#whole) this.#judgeWhole(error, events('finish'));
  }

  #judgeWhole(error: Error | undefined, finishes: number): void {
    check(error === undefined, `it failed: ${String(error)}`);
    check(finishes === 1 || this.#manner === 'stubborn', 'the writing side did not finish');
    check(this.#toPeer.bytes === this.#written, `${this.#toPeer.bytes} of ${this.#written} came`);
    if (this.#readToEnd && this.#manner === 'polite') {
      check(this.#fromPeer.bytes === this.#sentByPeer, `${this.#fromPeer.bytes} were read`);
    }
  }
}

/** Of the pattern, however long. */
function stretch(position: number, size: number): Buffer {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < size; at += MiB) {
    pieces.push(pattern.slice(position + at, Math.min(MiB, size - at)));
  }
  return Buffer.concat(pieces);
}

function check(right: boolean, otherwise: string): void {
  if (!right) throw new Error(otherwise);
}

async function within(promise: Promise<unknown>, what: string): Promise<void> {
  const over = new AbortController();
  const late = delay(LIMIT_MS, undefined, { signal: over.signal }).then(() => {
    throw new Error(`${what} did not come`);
  });
  await Promise.race([promise, late]);
  over.abort();
  await late.catch(() => {});
}
