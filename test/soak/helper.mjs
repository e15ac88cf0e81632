// @ts-check
/** The driver's hold on a receiver in a child process or a worker thread. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { HELPER_PORTS } from './wire.mjs';

/**
 * @typedef {'child' | 'worker'} HelperKind
 * @typedef {import('./receiver.mjs').ReceiverMessage} ReceiverMessage
 * @typedef {import('./plan.mjs').StreamPlan} StreamPlan
 */

const PROGRAM = new URL('receiver.mjs', import.meta.url);
/** Each has a queue of its own. */
export const HELPER_QUEUES = Object.freeze({ child: 5, worker: 6 });

export class Helper {
  kind;
  /** Streams on their way to it, by port. @type {Map<number, StreamPlan>} */
  streams = new Map();
  /** The kernel's ids of all bindings that there were. @type {number[]} */
  bindingIds = [];
  running = false;
  #journal;
  /** @type {import('node:child_process').ChildProcess | Worker | undefined} */
  #receiver;

  /**
   * @param {HelperKind} kind
   * @param {import('./report.mjs').Journal} journal
   */
  constructor(kind, journal) {
    this.kind = kind;
    this.#journal = journal;
  }

  get port() {
    return HELPER_PORTS[this.kind];
  }

  /**
   * Starts a receiver and waits until it listens.
   * @param {number} seed
   */
  async start(seed) {
    const options = { queue: HELPER_QUEUES[this.kind], port: this.port, seed };
    const receiver =
      this.kind === 'child'
        ? fork(fileURLToPath(PROGRAM), [JSON.stringify(options)])
        : new Worker(PROGRAM, { workerData: options });
    this.#receiver = receiver;
    receiver.on('error', (/** @type {Error} */ error) => {
      this.#journal.violate(`${this.kind}: ${error.stack ?? ''}`);
    });
    const exited = once(receiver, 'exit').then(([status, signal]) => {
      if (this.#receiver === receiver)
        this.#journal.violate(`${this.kind} ended: ${status} ${signal}`);
    });
    const bound = new Promise((resolve) => {
      receiver.on('message', (/** @type {ReceiverMessage} */ message) => {
        if (this.#receiver !== receiver) return;
        if (message.kind === 'bound') resolve(this.bindingIds.push(message.id));
        this.#heard(message);
      });
    });
    await Promise.race([bound, exited]);
    this.running = true;
  }

  /** SIGKILL, or terminate(): whatever it is doing. */
  async kill() {
    this.running = false;
    const receiver = this.#receiver;
    if (receiver === undefined) return;
    this.#receiver = undefined;
    this.#journal.count(`${this.kind} streams cut`, this.streams.size);
    this.streams.clear();
    if (receiver instanceof Worker) await receiver.terminate();
    else {
      const exited = once(receiver, 'exit');
      receiver.kill('SIGKILL');
      await exited;
    }
  }

  /** @param {ReceiverMessage} message */
  #heard(message) {
    if (message.kind === 'violation') this.#journal.violate(`${this.kind}: ${message.text}`);
    if (message.kind !== 'stream') return;
    const plan = this.streams.get(message.port);
    this.streams.delete(message.port);
    if (plan === undefined) return;
    this.#journal.count(`${this.kind} streams complete`);
    this.#journal.count(`${this.kind} bytes`, message.bytes);
    if (message.bytes !== plan.peer.bytes) {
      const text = `received ${message.bytes} of ${plan.peer.bytes} bytes (stream ${plan.id})`;
      this.#journal.violate(`${this.kind}: ${text}`);
    }
  }
}
