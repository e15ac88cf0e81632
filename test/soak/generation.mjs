// @ts-check
/** A binding, the servers on it, and their streams: from bind to the last release. */
import net from 'node:net';

import { adopt, bindRx, connect, createServer, DmaBuf } from 'devmem-tcp';

import { ADDRESS, INTERFACE, PEER_ADDRESS, Rule } from './nic.mjs';
import { codeOf, PlannedError } from './report.mjs';
import { ENDS_WITH_BINDING, TRANSPORT } from './transport.mjs';
import { FIRST_SERVER_PORT, KEEP_ALIVE, PEER_PORT } from './wire.mjs';

/**
 * @typedef {import('./stream.mjs').Stream} Stream
 * @typedef {import('./report.mjs').Journal} Journal
 */

// Small: the kernel's allocator for a udmabuf takes time in proportion to its pages
// once more is held than a page pool keeps for reuse.
const MEMORY_BYTES = 24 * 2 ** 20;
const HELD_LIMIT = 8 * 2 ** 20;
const PORTS = 1000;
const UNSEEN_MS = 5000;
// Longer than a link is down, with what TCP waits after that.
const CLOSE_TIMEOUT_MS = 10_000;

export class Generation {
  number;
  queues;
  memory;
  binding;
  view;
  allowHalfOpen;
  /** @type {Set<Stream>} */
  streams = new Set();
  /** Packets without a rule come to its queues. */
  steered = false;
  /** The queue that keeps what comes for its servers, once there is a newer generation. @type {number | undefined} */
  keptOn;
  /** No new streams. */
  retired = false;
  #journal;
  #server;
  #adopting;
  /** @type {Rule[]} */
  #rules = [];

  /**
   * @param {number} number
   * @param {readonly number[]} queues
   * @param {DmaBuf} memory
   * @param {import('devmem-tcp').Binding} binding
   * @param {boolean} allowHalfOpen
   * @param {Journal} journal
   */
  constructor(number, queues, memory, binding, allowHalfOpen, journal) {
    this.number = number;
    this.queues = queues;
    this.memory = memory;
    this.binding = binding;
    this.view = memory.map();
    this.allowHalfOpen = allowHalfOpen;
    this.#journal = journal;
    this.#server = this.#createServer();
    const adopting = { ...KEEP_ALIVE, allowHalfOpen, pauseOnConnect: true };
    this.#adopting = net.createServer(adopting, (socket) => {
      void this.#adopt(socket);
    });
  }

  /**
   * Binds fresh memory: in the old one fragments may still be held.
   * @param {number} number
   * @param {readonly number[]} queues
   * @param {boolean} allowHalfOpen
   * @param {Journal} journal
   */
  static async start(number, queues, allowHalfOpen, journal) {
    const memory = await DmaBuf.allocate({ type: 'udmabuf', size: MEMORY_BYTES });
    // What stands still is the driver's to find: a loaded machine alone can take seconds.
    const stallWarningMs = Infinity;
    const limits = { heldLimit: HELD_LIMIT, stallWarningMs };
    const options = { interface: INTERFACE, queues, memory, ...limits, transport: TRANSPORT };
    const binding = await bindRx({ ...options, mode: 'devmem' });
    const generation = new Generation(number, queues, memory, binding, allowHalfOpen, journal);
    await generation.#listen();
    return generation;
  }

  /** No streams, and none will come. */
  get over() {
    return this.retired && this.streams.size === 0;
  }

  get port() {
    return FIRST_SERVER_PORT + 2 * (this.number % PORTS);
  }

  get adoptPort() {
    return this.port + 1;
  }

  /**
   * Makes the stream's connection, or has the peer make it.
   * @param {Stream} stream
   * @param {import('./peer-link.mjs').Peer} peer
   */
  open(stream, peer) {
    const { plan } = stream;
    this.streams.add(stream);
    if (plan.entry === 'connect') {
      peer.tell({ command: 'expect', plan });
      void this.#connect(stream, peer);
      return;
    }
    const port = plan.entry === 'server' ? this.port : this.adoptPort;
    peer.tell({ command: 'open', plan, host: ADDRESS[plan.family], port });
  }

  /**
   * Keeps what comes for this generation's servers away from the queues of a newer one.
   * @param {number} queue
   */
  async steerTo(queue) {
    this.keptOn = queue;
    const older = this.#rules;
    this.#rules = [await Rule.add(this.port, queue), await Rule.add(this.adoptPort, queue)];
    for (const rule of older) await rule.remove();
  }

  /** Unbinds while streams go on. */
  async unbind() {
    for (const stream of this.streams)
      if (stream.socket === undefined || ENDS_WITH_BINDING) stream.excuses.add('unbound');
    await this.binding.close();
  }

  /**
   * Ends everything that still runs.
   * @param {boolean} atOnce without waiting for peers
   */
  async close(atOnce) {
    for (const stream of this.streams) {
      const own = stream.plan.entry !== 'server' && stream.socket !== undefined;
      if (!own) stream.excuses.add('serverClosed');
    }
    if (atOnce) this.#server.closeAllConnections();
    await this.#server.close();
    this.#adopting.close();
  }

  /** Frees what is left, once no stream is. */
  async dispose() {
    await this.#server.close();
    if (this.#adopting.listening) this.#adopting.close();
    await this.binding.close();
    if (this.binding.heldBytes !== 0) {
      this.#journal.violate(`generation ${this.number}: ${this.binding.heldBytes} bytes held`);
    }
    await this.memory.close();
    for (const rule of this.#rules) await rule.remove();
  }

  async #listen() {
    await this.#server.listen({ host: '::', port: this.port });
    await new Promise((resolve, reject) => {
      this.#adopting.once('error', reject);
      this.#adopting.listen({ host: '::', port: this.adoptPort }, () => {
        resolve(undefined);
      });
    });
  }

  #createServer() {
    const { binding, allowHalfOpen } = this;
    const closeTimeout = CLOSE_TIMEOUT_MS;
    const options = { ...KEEP_ALIVE, binding, allowHalfOpen, closeTimeout };
    const server = createServer(options, async (socket) => {
      const stream = this.#streamOf(socket.remotePort);
      if (stream === undefined) return;
      await stream.run(socket);
    });
    server.on('error', (/** @type {Error} */ error) => {
      if (!(error instanceof PlannedError)) this.#journal.violate(`server: ${error.stack ?? ''}`);
    });
    server.on('socketError', (/** @type {Error} */ error) => {
      this.#journal.event(`socketError ${codeOf(error)}`);
    });
    return server;
  }

  /** @param {net.Socket} connection */
  async #adopt(connection) {
    const stream = this.#streamOf(connection.remotePort);
    const aborter = new AbortController();
    let socket;
    try {
      const { binding } = this;
      const closeTimeout = stream?.plan.closeTimeoutMs ?? 0;
      socket = adopt(connection, { binding, closeTimeout, signal: aborter.signal });
    } catch (error) {
      connection.destroy();
      this.#journal.event(`adopt refused ${codeOf(error)}`);
      return;
    }
    await this.#runOwn(stream, socket, aborter);
  }

  /**
   * @param {Stream} stream
   * @param {import('./peer-link.mjs').Peer} peer
   */
  async #connect(stream, peer) {
    const { plan } = stream;
    const aborter = new AbortController();
    const { binding, allowHalfOpen } = this;
    const own = { binding, allowHalfOpen, closeTimeout: plan.closeTimeoutMs };
    const local = { ...KEEP_ALIVE, localPort: plan.port };
    const options = { ...local, host: PEER_ADDRESS[plan.family], port: PEER_PORT };
    const abort = () => {
      aborter.abort(new PlannedError(stream.name));
    };
    const early = plan.leave.kind === 'abort' ? setTimeout(abort, plan.leave.afterMs) : undefined;
    let socket;
    try {
      socket = await connect({ ...options, ...own, signal: aborter.signal });
    } catch (error) {
      stream.failedToConnect(error);
      peer.tell({ command: 'forget', plan });
      return;
    } finally {
      clearTimeout(early);
    }
    await this.#runOwn(stream, socket, aborter);
    // A connection that is reset before the peer accepts it is never seen there.
    setTimeout(() => {
      peer.tell({ command: 'forget', plan });
    }, UNSEEN_MS);
  }

  /**
   * A socket that no server looks after.
   * @param {Stream | undefined} stream
   * @param {import('devmem-tcp').DevmemSocket} socket
   * @param {AbortController} aborter
   */
  async #runOwn(stream, socket, aborter) {
    try {
      await stream?.run(socket, aborter);
      await socket.close();
    } catch {
      socket.destroy();
    }
  }

  /** @param {number | undefined} port */
  #streamOf(port) {
    for (const stream of this.streams) if (stream.plan.port === port) return stream;
    this.#journal.event('connection of an unknown stream');
    return undefined;
  }
}
