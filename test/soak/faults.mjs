// @ts-check
/** What happens to the NIC, the bindings and the helpers while streams go on. */
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';

import * as nic from './nic.mjs';

/**
 * @typedef {import('./random.mjs').Random} Random
 * @typedef {import('./helper.mjs').Helper} Helper
 * @typedef {import('./soak.mjs').Soak} Soak
 */

const KINDS = Object.freeze({
  loss: 12,
  linearBytes: 10,
  fragSize: 10,
  mtu: 6,
  offload: 4,
  linkDown: 7,
  spread: 14,
  rebind: 10,
  killChild: 6,
  killWorker: 6,
});

/** Queues that are never bound. */
const UNBOUND = Object.freeze([0, 7]);

export class Faults {
  #soak;
  #root;
  #journal;
  #count = 0;
  #pausing = false;
  /** @type {Promise<void>} */
  #loop = Promise.resolve();
  /** Receivers that are being replaced. @type {Set<Promise<void>>} */
  #replacing = new Set();

  /**
   * @param {Soak} soak
   * @param {Random} root
   * @param {import('./report.mjs').Journal} journal
   */
  constructor(soak, root, journal) {
    this.#soak = soak;
    this.#root = root;
    this.#journal = journal;
  }

  resume() {
    this.#pausing = false;
    this.#loop = this.#run();
    this.#loop.catch((/** @type {unknown} */ error) => {
      this.#journal.violate(`a fault could not be made: ${inspect(error)}`);
    });
  }

  /** Stops, and mends the NIC. */
  async pause() {
    this.#pausing = true;
    await this.#loop;
    await Promise.all(this.#replacing);
    await nic.setParameter('loss', 0);
    await nic.setParameter('linear_bytes', 0);
    await nic.setParameter('frag_size', 4096);
    await nic.setMtu(1500);
    await nic.setSegmentationOffload(true);
    await nic.spreadOver(this.#soak.current.queues);
  }

  async #run() {
    for (;;) {
      const random = this.#root.fork(`fault ${this.#count++}`);
      const kind = random.weighted(KINDS);
      await delay(random.magnitude(100, 2500));
      if (this.#pausing) return;
      await this.#make(kind, random);
    }
  }

  /**
   * @param {keyof typeof KINDS} kind
   * @param {Random} random
   */
  #make(kind, random) {
    switch (kind) {
      case 'loss':
        return this.#set('loss', random.pick([0, 0, 10, 100, 500, 2000]));
      case 'linearBytes':
        return this.#set('linear_bytes', random.pick([0, 0, 1, 63, 500, 2048]));
      case 'fragSize':
        return this.#set('frag_size', random.pick([4096, 4096, 4096, 2048, 1024, 256]));
      case 'mtu':
        return this.#noted('mtu', random.pick([1500, 9000]), nic.setMtu);
      case 'offload':
        return this.#noted('offload', random.chance(0.5), nic.setSegmentationOffload);
      case 'linkDown':
        return this.#linkDown(random);
      case 'spread':
        return this.#spread(random);
      case 'rebind':
        return this.#rebind(random);
      case 'killChild':
        return this.#kill(this.#soak.child, random);
      case 'killWorker':
        return this.#kill(this.#soak.worker, random);
    }
  }

  /**
   * @param {'loss' | 'linear_bytes' | 'frag_size'} name
   * @param {number} value
   */
  #set(name, value) {
    return this.#noted(name, value, (each) => nic.setParameter(name, each));
  }

  /**
   * @template T
   * @param {string} name
   * @param {T} value
   * @param {(value: T) => Promise<void>} action
   */
  async #noted(name, value, action) {
    this.#journal.event(`fault ${name}`, String(value));
    await action(value);
  }

  /** @param {Random} random */
  async #linkDown(random) {
    const end = random.pick(/** @type {const} */ (['rx', 'tx']));
    const ms = random.magnitude(20, 2000);
    // A binding cannot be made meanwhile.
    await Promise.all(this.#replacing);
    this.#journal.event(`fault link down ${end}`, `${ms} ms`);
    this.#soak.linksDown++;
    await nic.takeDown(end, ms);
    // Routes are there again, neighbours not at once. It may be down anew by then.
    setTimeout(() => this.#soak.linksDown--, 3000);
    for (const stream of this.#soak.streams)
      if (stream.socket === undefined) stream.excuses.add('link');
  }

  // Streams move: between bound queues, or to unbound ones and linear, and back.
  /** @param {Random} random */
  async #spread(random) {
    const bound = this.#soak.current.queues;
    const some = [bound, bound, bound.slice(0, 1), bound.slice(1), [...bound, ...UNBOUND], UNBOUND];
    const queues = random.pick(some.filter(({ length }) => length > 0));
    this.#journal.event('fault spread', queues.join());
    await nic.spreadOver(queues);
  }

  /** @param {Random} random */
  async #rebind(random) {
    const old = this.#soak.current;
    const others = this.#soak.otherQueues();
    const shift = others !== undefined && random.chance(0.5);
    const steered = random.chance(0.7);
    const gapMs = random.int(0, 500);
    old.retired = true;
    await nic.spreadOver(old.queues);
    if (steered) await old.steerTo(shift ? (old.queues[0] ?? 0) : 0);
    this.#soak.rebound(old, steered);
    this.#journal.event(`fault rebind ${shift ? 'elsewhere' : 'in place'}`, `steered: ${steered}`);
    if (shift) {
      await this.#soak.bind(others, random.chance(0.5));
      await delay(gapMs);
      await old.unbind();
    } else {
      await old.unbind();
      await delay(gapMs);
      await this.#soak.bind(old.queues, random.chance(0.5));
    }
    await this.#soak.steerToCurrent();
    if (!random.chance(0.3)) return;
    const atOnce = random.chance(0.3);
    const how = atOnce ? 'at once' : 'in order';
    this.#journal.event(`fault server closed ${how}`, `generation ${old.number}`);
    await old.close(atOnce);
  }

  /**
   * Takes a while, in which other faults are made.
   * @param {Helper} helper
   * @param {Random} random
   */
  async #kill(helper, random) {
    if (!helper.running) return;
    this.#journal.event(`fault ${helper.kind} killed`, `${helper.streams.size} streams`);
    const replaced = this.#replace(helper, random).finally(() => this.#replacing.delete(replaced));
    this.#replacing.add(replaced);
  }

  /**
   * @param {Helper} helper
   * @param {Random} random
   */
  async #replace(helper, random) {
    await helper.kill();
    await delay(random.int(0, 300));
    await helper.start(random.int(0, 0xffffffff));
  }
}
