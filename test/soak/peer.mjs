// @ts-check
/**
 * The sending end: one process in the peer's namespace for all streams. Commands
 * are lines of JSON on stdin, what became of the streams lines on stdout.
 */
import { once } from 'node:events';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

import { KEEP_ALIVE, pattern, PEER_PORT, replyStartOf, startOf } from './wire.mjs';

/** @typedef {import('./plan.mjs').StreamPlan} StreamPlan */

/**
 * @typedef {object} Open a stream that begins here
 * @property {'open'} command
 * @property {StreamPlan} plan
 * @property {string} host
 * @property {number} port
 */

/**
 * @typedef {object} Expect a stream that the receiving side begins
 * @property {'expect'} command
 * @property {StreamPlan} plan
 */

/**
 * @typedef {object} Forget a stream that the receiving side could not begin
 * @property {'forget'} command
 * @property {StreamPlan} plan
 */

/** @typedef {{ command: 'dump' }} Dump asks for what each open stream is at, on stderr */

/** @typedef {Open | Expect | Forget | Dump} Command */

/**
 * @typedef {object} Closed
 * @property {number} id
 * @property {number} sent
 * @property {number} received
 * @property {number} firstWrong position of the first wrong byte received, or -1
 * @property {boolean} ended whether the receiving side ended its direction
 * @property {string | undefined} error code of what ended the connection
 */

/** One stream at this end. */
class PeerStream {
  /** @type {StreamPlan} */
  plan;
  socket;
  sent = 0;
  received = 0;
  firstWrong = -1;
  ended = false;
  /** @type {string | undefined} */
  error;

  /**
   * @param {StreamPlan} plan
   * @param {net.Socket} socket
   */
  constructor(plan, socket) {
    this.plan = plan;
    this.socket = socket;
    open.add(this);
    if (plan.peer.kind === 'deaf') socket.pause();
    else
      socket.on('data', (bytes) => {
        this.#look(bytes);
      });
    socket.on('end', () => (this.ended = true));
    socket.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      this.error ??= error.code ?? error.message;
    });
    socket.on('close', () => {
      open.delete(this);
      const { sent, received, firstWrong, ended, error } = this;
      report({ id: plan.id, sent, received, firstWrong, ended, error });
    });
  }

  async run() {
    const { kind, waitMs } = this.plan.peer;
    await this.#send();
    if (waitMs > 0) await delay(waitMs);
    if (kind === 'reset') this.socket.resetAndDestroy();
    else if (kind === 'destroy' || kind === 'deaf') this.socket.destroy();
    else this.socket.end();
  }

  async #send() {
    const { bytes, piece, pauseEvery, pauseMs } = this.plan.peer;
    const start = startOf(this.plan.port);
    let nextPause = pauseEvery;
    while (this.sent < bytes && !this.socket.destroyed) {
      const size = Math.min(piece, bytes - this.sent);
      const flowing = this.socket.write(pattern.slice(start + this.sent, size));
      this.sent += size;
      if (!flowing) await this.#drained();
      if (pauseEvery > 0 && this.sent >= nextPause) {
        nextPause += pauseEvery;
        await delay(pauseMs);
      }
    }
  }

  async #drained() {
    if (this.socket.destroyed) return;
    const over = new AbortController();
    const { signal } = over;
    const settled = [
      once(this.socket, 'drain', { signal }),
      once(this.socket, 'close', { signal }),
    ];
    await Promise.race(settled).catch(() => {});
    over.abort();
    await Promise.allSettled(settled);
  }

  /** @param {Buffer} bytes */
  #look(bytes) {
    const at = pattern.mismatch(replyStartOf(this.plan.port) + this.received, bytes);
    if (at !== -1 && this.firstWrong === -1) this.firstWrong = this.received + at;
    this.received += bytes.length;
    if (!this.plan.peer.slowReader) return;
    this.socket.pause();
    setTimeout(() => this.socket.resume(), 20);
  }
}

/** @type {Set<PeerStream>} */
const open = new Set();
/** Streams that have no connection yet, by port. @type {Map<number, StreamPlan>} */
const expected = new Map();
/** Connections that came before word of their streams. @type {Map<number, net.Socket>} */
const early = new Map();

/** @param {Closed} closed */
function report(closed) {
  process.stdout.write(`${JSON.stringify(closed)}\n`);
}

/** @param {Open} command */
function connect({ plan, host, port }) {
  const own = { ...KEEP_ALIVE, localPort: plan.port, allowHalfOpen: true };
  const socket = net.connect({ ...own, host, port });
  const stream = new PeerStream(plan, socket);
  socket.on('connect', () => void stream.run());
}

function dump() {
  for (const { plan, sent, received, ended, socket } of open) {
    const state = { sent, received, ended, writing: socket.writableLength, ...socket.address() };
    process.stderr.write(`peer: stream ${plan.id} ${JSON.stringify(state)}\n`);
  }
}

/** @param {Command} command */
function obey(command) {
  if (command.command === 'open') connect(command);
  else if (command.command === 'expect') {
    expected.set(command.plan.port, command.plan);
    begin(command.plan.port);
  } else if (command.command === 'dump') dump();
  else if (expected.delete(command.plan.port)) {
    const { id } = command.plan;
    report({ id, sent: 0, received: 0, firstWrong: -1, ended: false, error: 'NONE' });
  }
}

// Once both the connection and word of its stream are there.
/** @param {number} port */
function begin(port) {
  const socket = early.get(port);
  const plan = expected.get(port);
  if (socket === undefined || plan === undefined) return;
  early.delete(port);
  expected.delete(port);
  void new PeerStream(plan, socket).run();
}

const server = net.createServer({ ...KEEP_ALIVE, allowHalfOpen: true }, (socket) => {
  // Reset before it was accepted: a connection of which nothing is known any more.
  const port = socket.remotePort ?? 0;
  socket.on('error', () => {});
  early.set(port, socket);
  begin(port);
});
server.listen(PEER_PORT, '::', () => process.stdout.write('ready\n'));

createInterface({ input: process.stdin })
  .on('line', (line) => {
    /** @type {Command} */
    const command = JSON.parse(line);
    obey(command);
  })
  .on('close', () => process.exit());
