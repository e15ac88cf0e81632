// @ts-check
/** The receiving end of one stream, and what is to be said of it in the end. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { Leases } from './leases.mjs';
import { Random } from './random.mjs';
import { codeOf, PlannedError } from './report.mjs';
import { ENDS_WITH_BINDING } from './transport.mjs';
import { pattern, replyStartOf, startOf } from './wire.mjs';

/**
 * @typedef {import('devmem-tcp').DevmemSocket} DevmemSocket
 * @typedef {import('./plan.mjs').StreamPlan} StreamPlan
 * @typedef {import('./peer.mjs').Closed} Closed
 */

/**
 * What came between a stream and its plan, so that it may end early:
 *
 * - `rebound`: its packets may reach another binding's queues
 * - `unbound`: its binding was closed: before the connection was accepted, or where the
 *   transport's connections end with it, at any time
 * - `serverClosed`: the server was closed under it
 * - `link`: an interface was down while it connected
 *
 * @typedef {'rebound' | 'unbound' | 'serverClosed' | 'link'} Excuse
 */

// Of a stream that loses its route, or its server, before it is connected.
const LINK_ERRORS = ['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'ETIMEDOUT', 'EADDRNOTAVAIL'];
const RESET_ERRORS = ['ECONNRESET', 'EPIPE', 'ECONNREFUSED', 'ECONNABORTED'];

export class Stream {
  plan;
  generation;
  /** @type {Set<Excuse>} */
  excuses = new Set();
  phase = 'connecting';
  lastProgress = performance.now();
  /** @type {DevmemSocket | undefined} */
  socket;
  /** @type {Leases | undefined} */
  leases;
  /** @type {Closed | undefined} */
  peer;
  /** What the read loop ended with, if not with the end of the stream. */
  /** @type {unknown} */
  error;
  written = 0;
  #journal;
  #random;
  #left = false;
  #readToEnd = false;
  #socketClosed = false;
  #runOver = false;

  /**
   * @param {StreamPlan} plan
   * @param {import('./generation.mjs').Generation} generation
   * @param {import('./report.mjs').Journal} journal
   */
  constructor(plan, generation, journal) {
    this.plan = plan;
    this.generation = generation;
    this.#journal = journal;
    this.#random = new Random(plan.seed);
  }

  get name() {
    return `stream ${this.plan.id}`;
  }

  /** Everything of it is over, at both ends, and nothing of it is held. */
  get done() {
    if (this.peer === undefined) return false;
    if (this.socket === undefined) return this.phase !== 'connecting' || this.#neverCame();
    return this.#runOver && this.#socketClosed && this.leases?.held === 0;
  }

  /** Both ends mean to go on to the end. */
  get #normal() {
    const { peer, leave } = this.plan;
    return (peer.kind === 'end' || peer.kind === 'silent') && leave.kind === 'end';
  }

  // The peer is through with it, and no connection was seen here.
  #neverCame() {
    return performance.now() - this.lastProgress > 5000;
  }

  progress() {
    this.lastProgress = performance.now();
  }

  /** @param {Closed} closed what the peer says when the connection is gone there */
  peerClosed(closed) {
    this.peer = closed;
    this.progress();
  }

  /**
   * Receives as planned.
   * @param {DevmemSocket} socket
   * @param {AbortController} [aborter] of the socket's signal
   * @throws what ended it early, planned or not: a server has to tell one from the other
   */
  async run(socket, aborter) {
    this.#begin(socket);
    const timer = this.#leaveLater(socket, aborter);
    const writing = this.#write(socket);
    try {
      await this.#read(socket);
    } catch (error) {
      this.error = error;
    }
    this.phase = 'writing';
    await writing;
    clearTimeout(timer);
    this.phase = 'closing';
    this.#runOver = true;
    this.progress();
    if (this.error !== undefined) throw this.error;
  }

  /**
   * The receiving end could not connect.
   * @param {unknown} error
   */
  failedToConnect(error) {
    this.error = error;
    this.phase = 'failed to connect';
    this.progress();
  }

  /** @param {DevmemSocket} socket */
  #begin(socket) {
    this.socket = socket;
    this.phase = 'reading';
    this.progress();
    this.leases = new Leases({
      plan: this.plan,
      random: this.#random.fork('leases'),
      binding: this.generation.binding,
      view: this.generation.view,
      start: startOf(this.plan.port),
      violate: (text) => {
        this.#violate(text);
      },
    });
    socket.once('close', () => {
      this.#socketClosed = true;
      this.progress();
    });
  }

  /**
   * @param {DevmemSocket} socket
   * @param {AbortController | undefined} aborter
   */
  #leaveLater(socket, aborter) {
    const { kind, afterMs } = this.plan.leave;
    if (afterMs === 0 || kind === 'neverRead') return undefined;
    return setTimeout(() => {
      this.progress();
      this.#left = true;
      if (kind === 'close') void socket.close();
      else if (kind === 'destroy') socket.destroy();
      else if (kind === 'destroyError') socket.destroy(new PlannedError(this.name));
      else aborter?.abort(new PlannedError(this.name));
    }, afterMs);
  }

  /** @param {DevmemSocket} socket */
  async #read(socket) {
    const { leave, mode } = this.plan;
    if (leave.kind === 'neverRead') {
      this.#left = true;
      this.phase = 'not reading';
      await delay(leave.afterMs);
    } else if (leave.kind === 'return') await this.#readUntilReturn(socket);
    else if (mode === 'batches') await this.#readLoop(socket.batches(), socket);
    else if (mode === 'fragments') await this.#readLoop(socket, socket);
    else if (mode === 'mixed') await this.#readLoop(this.#mixed(socket), socket);
    else if (mode === 'apart') await this.#readLoop(this.#apart(socket), socket);
    else await this.#readLoop(this.#together(socket), socket);
  }

  /**
   * @param {AsyncIterable<import('devmem-tcp').Batch | import('devmem-tcp').Fragment>} leases
   * @param {DevmemSocket} socket
   */
  async #readLoop(leases, socket) {
    for await (const lease of leases) {
      this.#take(lease);
      if (this.#leaveNow(socket)) break;
      await this.#pause();
    }
    this.#readToEnd = !this.#left;
  }

  /**
   * Batches, each taken apart into leases of its fragments.
   * @param {DevmemSocket} socket
   */
  async *#apart(socket) {
    for await (const batch of socket.batches()) {
      let index = 0;
      try {
        while (index < batch.length) yield batch.fragment(index++);
      } finally {
        while (index < batch.length) batch.fragment(index++).release();
      }
    }
  }

  /**
   * Fragments, some of them asked for at the same time.
   * @param {DevmemSocket} socket
   */
  async *#together(socket) {
    const fragments = socket[Symbol.asyncIterator]();
    /** @type {(import('devmem-tcp').Fragment | undefined)[]} */
    let asked = [];
    let ended = false;
    try {
      for (;;) {
        const three = [fragments.next(), fragments.next(), fragments.next()];
        const results = await Promise.allSettled(three);
        asked = results.map((each) => (each.status === 'fulfilled' ? each.value.value : undefined));
        for (const { status } of results) {
          const fragment = asked.shift();
          if (fragment !== undefined) yield fragment;
          else if (status === 'fulfilled') {
            ended = true;
            return;
          }
        }
        // One of them failed: again, for its error.
        await Promise.all(three);
      }
    } finally {
      for (const each of asked) each?.release();
      // At the end of the stream writing may go on, which return() would cut off.
      if (!ended) await fragments.return?.();
    }
  }

  /**
   * Batches and fragments by turns, each what comes next.
   * @param {DevmemSocket} socket
   */
  async *#mixed(socket) {
    const ways = [socket[Symbol.asyncIterator](), socket.batches(), socket[Symbol.asyncIterator]()];
    let ended = false;
    try {
      for (;;) {
        if (this.#random.chance(0.05)) socket.setLowWaterMark(this.#random.magnitude(1, 16_384));
        const { value } = await this.#random.pick(ways).next();
        ended = value === undefined;
        if (value === undefined) return;
        yield value;
      }
    } finally {
      // At the end of the stream writing may go on, which return() would cut off.
      if (!ended) await ways[0]?.return?.();
    }
  }

  /**
   * Calls return() while a next() waits.
   * @param {DevmemSocket} socket
   */
  async #readUntilReturn(socket) {
    const leases =
      this.plan.mode === 'fragments' ? socket[Symbol.asyncIterator]() : socket.batches();
    for (;;) {
      const next = leases.next();
      const enough = (this.leases?.position ?? 0) >= this.plan.leave.at;
      if (enough) {
        this.#left = true;
        void leases.return?.();
      }
      const { value } = await next;
      if (value !== undefined) this.#take(value);
      if (value === undefined || enough) break;
      await this.#pause();
    }
    this.#readToEnd = !this.#left;
  }

  /** @param {import('devmem-tcp').Batch | import('devmem-tcp').Fragment} lease */
  #take(lease) {
    this.leases?.take(lease);
    this.progress();
  }

  /**
   * Leaves by the plan's means; true where the loop is to end itself.
   * @param {DevmemSocket} socket
   */
  #leaveNow(socket) {
    const { kind, at, afterMs } = this.plan.leave;
    if (kind === 'end' || afterMs > 0 || (this.leases?.position ?? 0) < at) return false;
    this.#left = true;
    if (kind === 'throw') throw new PlannedError(this.name);
    if (kind === 'close') void socket.close();
    else if (kind === 'destroy') socket.destroy();
    else if (kind === 'destroyError') socket.destroy(new PlannedError(this.name));
    return kind === 'break';
  }

  #pausedAt = 0;

  async #pause() {
    const { delayEvery, delayMs } = this.plan;
    const position = this.leases?.position ?? 0;
    if (delayEvery === 0 || position - this.#pausedAt < delayEvery) return;
    this.#pausedAt = position;
    await delay(delayMs);
  }

  /** @param {DevmemSocket} socket */
  async #write(socket) {
    const { port, replyBytes, replyPiece, endFirst } = this.plan;
    if (replyBytes === 0 && !endFirst) return;
    const { writable } = socket;
    writable.on('error', () => {});
    const start = replyStartOf(port);
    while (this.written < replyBytes && writable.writable) {
      const size = Math.min(replyPiece, replyBytes - this.written);
      const flowing = writable.write(pattern.slice(start + this.written, size));
      this.written += size;
      this.progress();
      if (!flowing) await drained(writable);
    }
    if (endFirst) writable.end();
  }

  /** @param {string} text */
  #violate(text) {
    this.#journal.violate(`${this.name}: ${text}; ${this.describe()}`);
  }

  /** For the log. */
  describe() {
    const { plan, socket, leases, peer } = this;
    return JSON.stringify({
      phase: this.phase,
      idleMs: Math.round(performance.now() - this.lastProgress),
      generation: this.generation.number,
      bindingClosed: this.generation.binding.closed,
      heldBytes: this.generation.binding.heldBytes,
      heldLimit: this.generation.binding.heldLimit,
      position: leases?.position,
      held: leases?.held,
      readToEnd: this.#readToEnd,
      left: this.#left,
      runOver: this.#runOver,
      socketClosed: this.#socketClosed,
      written: this.written,
      error: this.error instanceof Error ? this.error.stack : this.error,
      excuses: [...this.excuses],
      peer,
      stats: socket?.stats,
      plan,
    });
  }

  /** Compares the end with the plan, once done. */
  judge() {
    const received = this.leases?.position ?? 0;
    const { peer, plan } = this;
    if (peer === undefined) return;
    if (peer.firstWrong !== -1) this.#violate(`wrong byte at the peer at ${peer.firstWrong}`);
    if (received > plan.peer.bytes) this.#violate(`${received} bytes received, more than sent`);
    if (peer.received > this.written) this.#violate(`the peer received more than was written`);
    this.#judgeTokens();
    const outcome = this.#judgeEnd(received, peer);
    this.#journal.count(`stream ${outcome}`);
    this.#journal.note(`${this.name} ${outcome}, ${received} bytes`);
  }

  #judgeTokens() {
    const stats = this.socket?.stats;
    if (stats === undefined) return;
    const { tokensTaken, tokensReturned, tokensMissed, returnErrors, heldFragments } = stats;
    const wrong = tokensTaken !== tokensReturned || tokensMissed + returnErrors + heldFragments > 0;
    if (wrong) this.#violate('tokens do not add up');
    this.#journal.count('stalls', stats.stalls);
    this.#journal.count('fragments', stats.fragments);
    this.#journal.count('bytes device', stats.deviceBytes);
    this.#journal.count('bytes linear', stats.linearBytes);
    this.#journal.count('leases held', this.leases?.heldEver);
  }

  /**
   * @param {number} received
   * @param {Closed} peer
   * @returns {string} how it ended
   */
  #judgeEnd(received, peer) {
    const complete =
      this.error === undefined && this.#readToEnd && received === this.plan.peer.bytes;
    if (this.#normal && this.excuses.size === 0) {
      if (!complete || peer.error !== undefined) this.#violate('it did not end as planned');
      this.#judgeReply(peer);
      return 'complete';
    }
    if (this.#mayFail()) return complete ? 'complete all the same' : this.#cutBy();
    this.#violate(`it failed with ${codeOf(this.error ?? peer.error)}`);
    return 'failed';
  }

  /** @param {Closed} peer */
  #judgeReply(peer) {
    const { replyBytes } = this.plan;
    if (!peer.ended) this.#violate('the peer saw no end');
    // Without allowHalfOpen the end of the stream ends the other direction too.
    if (this.generation.allowHalfOpen && this.written !== replyBytes) {
      this.#violate(`${this.written} of ${replyBytes} bytes were written`);
    }
    if (peer.received !== this.written) {
      this.#violate(`the peer received ${peer.received} of ${this.written} bytes`);
    }
  }

  // Whether this error, if any, is one of those that the plan or what came between explain.
  #mayFail() {
    const { error, excuses, plan } = this;
    if (error === undefined || error instanceof PlannedError) return true;
    const code = codeOf(error);
    if (RESET_ERRORS.includes(code)) {
      return ['reset', 'destroy', 'deaf'].includes(plan.peer.kind) || excuses.size > 0;
    }
    if (LINK_ERRORS.includes(code)) return excuses.has('link') && this.socket === undefined;
    if (code === 'ERR_DEVMEM_BAD_RECORD') return excuses.has('rebound');
    if (code === 'ERR_DEVMEM_UNBOUND') return ENDS_WITH_BINDING && excuses.has('unbound');
    if (code === 'ERR_DEVMEM_CLOSED') return excuses.has('unbound');
    return false;
  }

  #cutBy() {
    const { peer, leave } = this.plan;
    if (this.socket === undefined) return `never connected (${[...this.excuses].join()})`;
    if (this.error !== undefined && !(this.error instanceof PlannedError)) {
      return `failed with ${codeOf(this.error)}`;
    }
    if (this.#left) return `left by ${leave.kind}`;
    if (peer.kind !== 'end') return `ended by peer's ${peer.kind}`;
    return `cut (${[...this.excuses].join()})`;
  }
}

/** @param {import('node:stream').Writable} writable */
async function drained(writable) {
  const over = new AbortController();
  const { signal } = over;
  const settled = [once(writable, 'drain', { signal }), once(writable, 'close', { signal })];
  if (!writable.closed) await Promise.race(settled).catch(() => {});
  over.abort();
  await Promise.allSettled(settled);
}
