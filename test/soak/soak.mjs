// @ts-check
/** The whole: opens streams, looks after them, and every minute closes all and counts. */
import { setTimeout as delay } from 'node:timers/promises';

import {
  descriptors,
  descriptorsLeft,
  memoryUse,
  notCollected,
  poolsLeft,
  ring,
} from './accounting.mjs';
import { Faults } from './faults.mjs';
import { Generation } from './generation.mjs';
import { Helper, HELPER_QUEUES } from './helper.mjs';
import * as nic from './nic.mjs';
import { Peer } from './peer-link.mjs';
import { planHelperStream, planStream } from './plan.mjs';
import { mebibytes } from './report.mjs';
import { Stream } from './stream.mjs';
import { QUEUE_SETS } from './transport.mjs';

/**
 * @typedef {import('./random.mjs').Random} Random
 * @typedef {import('./report.mjs').Journal} Journal
 * @typedef {ReturnType<typeof memoryUse>} MemoryUse
 */

const MOST_STREAMS = 12;
const MOST_HELPER_STREAMS = 3;
const STUCK_MS = 60_000;
const EPOCH_MS = 60_000;
const PROGRESS_MS = 10_000;
// Pages of the allocator come and go; a leak of a kilobyte a stream would pass this in an hour.
const MOST_GROWTH_MIB = 150;
// Each has its memory mapped; the last ones may still be on somebody's stack.
const MOST_NOT_COLLECTED = 2;

export class Soak {
  /** @type {Set<Stream>} */
  streams = new Set();
  /** How often an interface is down now, or was a moment ago: packets may find no route. */
  linksDown = 0;
  child;
  worker;
  /** @type {MemoryUse[]} */
  memory = [];
  #random;
  #journal;
  #peer;
  #faults;
  /** @type {Generation[]} */
  #generations = [];
  #generationCount = 0;
  #streamCount = 0;
  #opening = false;
  /** @type {Record<string, number>} */
  #descriptors = {};
  /** @type {number[]} */
  #bindingIds = [];
  /** All that the garbage collector has not taken. @type {WeakRef<import('devmem-tcp').Binding>[]} */
  #bindings = [];
  /** @type {Promise<void>[]} */
  #disposals = [];

  /**
   * @param {Random} random
   * @param {Journal} journal
   */
  constructor(random, journal) {
    this.#random = random;
    this.#journal = journal;
    this.child = new Helper('child', journal);
    this.worker = new Helper('worker', journal);
    this.#faults = new Faults(this, random.fork('faults'), journal);
    this.#peer = new Peer(
      (closed) => {
        this.#peerClosed(closed);
      },
      (reason) => {
        journal.violate(reason);
      },
    );
  }

  /** Where new streams go. */
  get current() {
    return /** @type {Generation} */ (this.#generations.at(-1));
  }

  /** The queues that no binding has, if there are any. */
  otherQueues() {
    const bound = this.#generations.filter(({ binding }) => !binding.closed);
    return QUEUE_SETS.find((set) => bound.every(({ queues }) => queues !== set));
  }

  /**
   * @param {readonly number[]} queues
   * @param {boolean} allowHalfOpen
   */
  async bind(queues, allowHalfOpen) {
    // Of old ones that were kept on a queue which nobody had until now.
    for (const each of this.#generations) {
      if (each.keptOn !== undefined && queues.includes(each.keptOn)) this.rebound(each, false);
    }
    const number = this.#generationCount++;
    const generation = await Generation.start(number, queues, allowHalfOpen, this.#journal);
    this.#bindingIds.push(generation.binding.id);
    this.#bindings.push(new WeakRef(generation.binding));
    this.#generations.push(generation);
    this.#journal.event('bind', `generation ${number}, queues ${queues.join()}`);
  }

  async steerToCurrent() {
    const { current } = this;
    await nic.spreadOver(current.queues);
    current.steered = true;
  }

  /**
   * Packets of these streams may come to another binding's queues from now on.
   * @param {Generation} generation
   * @param {boolean} steered but not those for its servers
   */
  rebound(generation, steered) {
    for (const stream of generation.streams) {
      if (!steered || stream.plan.entry === 'connect') stream.excuses.add('rebound');
    }
  }

  /** @param {number} minutes */
  async run(minutes) {
    await this.#prepare();
    const end = performance.now() + minutes * 60_000;
    const progress = setInterval(() => {
      this.#tellProgress();
    }, PROGRESS_MS);
    const watch = setInterval(() => {
      this.#watch();
    }, 200);
    try {
      for (let epoch = 0; performance.now() < end; epoch++) {
        await this.#epoch(epoch, Math.min(EPOCH_MS, end - performance.now()));
        await this.#checkpoint();
      }
    } finally {
      clearInterval(progress);
      clearInterval(watch);
    }
    await this.#peer.stop();
  }

  /** What each live stream is at, for the log. */
  describe() {
    this.#peer.tell({ command: 'dump' });
    return [...this.streams].map((stream) => `${stream.name} ${stream.describe()}`);
  }

  async #prepare() {
    await nic.keepAddresses();
    await this.#peer.ready();
    const kinds = /** @type {const} */ (['child', 'worker']);
    for (const kind of kinds) await nic.Rule.add(this[kind].port, HELPER_QUEUES[kind]);
    // What is opened once and stays is part of the base line.
    await this.bind(QUEUE_SETS[0] ?? [], true);
    await this.current.dispose();
    this.#generations = [];
    await this.worker.start(0);
    await this.child.start(0);
    await Promise.all([this.worker.kill(), this.child.kill()]);
    this.#descriptors = descriptors();
    this.#journal.note(`descriptors: ${JSON.stringify(this.#descriptors)}`);
  }

  /**
   * @param {number} epoch
   * @param {number} ms
   */
  async #epoch(epoch, ms) {
    const random = this.#random.fork(`epoch ${epoch}`);
    await this.bind(random.pick(QUEUE_SETS), random.chance(0.5));
    await this.steerToCurrent();
    await Promise.all([this.child, this.worker].map((each) => each.start(random.int(0, 2 ** 31))));
    this.#faults.resume();
    this.#opening = true;
    const opening = this.#open(random);
    await delay(ms);
    this.#opening = false;
    await opening;
  }

  /** @param {Random} random */
  async #open(random) {
    while (this.#opening) {
      await delay(random.magnitude(5, 300));
      const kind = random.weighted({ own: 8, child: 1, worker: 1 });
      if (kind === 'own') this.#openStream();
      else this.#openHelperStream(this[kind]);
    }
  }

  #openStream() {
    const generation = this.current;
    if (this.streams.size >= MOST_STREAMS || generation.retired || !generation.steered) return;
    const plan = planStream(this.#random, this.#streamCount++);
    const stream = new Stream(plan, generation, this.#journal);
    if (this.linksDown > 0) stream.excuses.add('link');
    this.streams.add(stream);
    this.#journal.event(
      `open ${plan.entry} ${plan.family}`,
      `${stream.name}, ${plan.peer.bytes} bytes`,
    );
    generation.open(stream, this.#peer);
  }

  /** @param {Helper} helper */
  #openHelperStream(helper) {
    if (!helper.running || helper.streams.size >= MOST_HELPER_STREAMS || this.linksDown > 0) return;
    const plan = planHelperStream(this.#random, this.#streamCount++);
    helper.streams.set(plan.port, plan);
    this.#journal.event(`open for ${helper.kind}`, `stream ${plan.id}, ${plan.peer.bytes} bytes`);
    const { port } = helper;
    this.#peer.tell({ command: 'open', plan, host: nic.ADDRESS[plan.family], port });
  }

  /** @param {import('./peer.mjs').Closed} closed */
  #peerClosed(closed) {
    for (const stream of this.streams) if (stream.plan.id === closed.id) stream.peerClosed(closed);
    for (const helper of [this.child, this.worker]) {
      for (const [port, plan] of helper.streams) {
        if (plan.id !== closed.id || closed.error === undefined) continue;
        helper.streams.delete(port);
        // Killed at the same time, or no route just then.
        this.#journal.event(`${helper.kind} stream failed ${closed.error}`, `stream ${plan.id}`);
      }
    }
  }

  // Sees to streams that are over, and finds those that are stuck.
  #watch() {
    for (const stream of this.streams) {
      if (stream.done) {
        stream.judge();
        this.streams.delete(stream);
        stream.generation.streams.delete(stream);
      } else if (performance.now() - stream.lastProgress > STUCK_MS) {
        this.#journal.violate(`${stream.name} is stuck: ${stream.describe()}`);
      }
    }
    this.#dispose(
      this.#generations.filter((each) => each !== this.current && each.binding.closed && each.over),
    );
  }

  /** @param {Generation[]} generations */
  #dispose(generations) {
    for (const generation of generations) {
      this.#generations.splice(this.#generations.indexOf(generation), 1);
      this.#disposals.push(generation.dispose());
    }
  }

  async #checkpoint() {
    const started = performance.now();
    await this.#faults.pause();
    await this.#quiet();
    const quiet = performance.now();
    await Promise.all([this.child.kill(), this.worker.kill()]);
    for (const generation of this.#generations) {
      generation.retired = true;
      await generation.unbind();
    }
    this.#dispose([...this.#generations]);
    await Promise.all(this.#disposals.splice(0));
    const closed = performance.now();
    const found = await this.#account();
    const times = [quiet - started, closed - quiet, performance.now() - closed];
    const said = JSON.stringify({ ...found, ...this.memory.at(-1) });
    const [drain, close, account] = times.map((ms) => `${(ms / 1000).toFixed(1)} s`);
    process.stderr.write(
      `soak: ${this.#clock()} checkpoint ${this.memory.length}: ` +
        `drained in ${drain}, closed in ${close}, counted in ${account}; ${said}\n`,
    );
  }

  // Waits for the streams to end. The watch finds what does not.
  async #quiet() {
    const helpers = [this.child, this.worker];
    const deadline = performance.now() + 2 * STUCK_MS;
    while (this.streams.size > 0 || helpers.some(({ streams }) => streams.size > 0)) {
      if (performance.now() > deadline) {
        const left = helpers.map(({ kind, streams }) => `${kind}: ${[...streams.keys()].join()}`);
        this.#journal.violate(`streams that do not end: ${left.join('; ')}`);
        // All stays as it is, for whoever looks why.
        throw this.#journal.violation;
      }
      await delay(100);
    }
  }

  async #account() {
    const { used, slots } = ring();
    if (used !== 0) this.#journal.violate(`${used} descriptors of the frag ring are not released`);
    const helperIds = [this.child, this.worker].flatMap(({ bindingIds }) => bindingIds.splice(0));
    const started = performance.now();
    const pools = await poolsLeft([...this.#bindingIds.splice(0), ...helperIds]);
    if (pools !== undefined) this.#journal.violate(`page pools left: ${pools}`);
    const poolsGone = performance.now();
    const left = await descriptorsLeft(this.#descriptors);
    if (left !== undefined) this.#journal.violate(`descriptors left: ${left}`);
    const counted = performance.now();
    this.#bindings = await notCollected(this.#bindings, MOST_NOT_COLLECTED);
    this.memory.push(memoryUse());
    if (this.#bindings.length > MOST_NOT_COLLECTED) {
      this.#journal.violate(`${this.#bindings.length} closed bindings are not garbage: a leak`);
    }
    this.#checkGrowth();
    this.#journal.event('checkpoint');
    return {
      poolsGoneMs: Math.round(poolsGone - started),
      descriptorsGoneMs: Math.round(counted - poolsGone),
      ringSlots: slots,
      bindingsNotCollected: this.#bindings.length,
      poolEmptyDrops: await nic.statistic('rx_pool_empty'),
    };
  }

  // The first checkpoints are left out: everything is being loaded and sized.
  #checkGrowth() {
    const base = this.memory[2];
    const last = this.memory.at(-1);
    if (base === undefined || last === undefined) return;
    if (last.rss - base.rss > MOST_GROWTH_MIB) {
      this.#journal.violate(`memory grew: ${JSON.stringify(this.memory.map(({ rss }) => rss))}`);
    }
  }

  #clock() {
    return `${this.#journal.seconds.toFixed(0).padStart(5)} s`;
  }

  #tellProgress() {
    const { counts } = this.#journal;
    const bytes = (counts['bytes device'] ?? 0) + (counts['bytes linear'] ?? 0);
    const faults = Object.entries(counts).filter(([kind]) => kind.startsWith('fault '));
    const helpers = this.child.streams.size + this.worker.streams.size;
    process.stderr.write(
      `soak: ${this.#clock()} ${this.#streamCount} streams, ${this.streams.size} + ${helpers} open, ` +
        `${mebibytes(bytes)}, ${faults.reduce((sum, [, n]) => sum + n, 0)} faults, ` +
        `${counts.stalls ?? 0} stalls, rss ${mebibytes(process.memoryUsage.rss())}\n`,
    );
  }
}
