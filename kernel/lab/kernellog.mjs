// @ts-check
/**
 * Reads the guest's kernel log as it comes, and finds what must not be in it: a
 * test that passed while the kernel warned has not passed.
 */

/** `[   12.345678] `, with the caller's id where CONFIG_PRINTK_CALLER adds it. */
const TIMESTAMP = /^\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])?\s?/;

/** First lines of a complaint. Matched after the time stamp. */
const HEADLINES = [
  /^-+\[ cut here \]-+/, // WARN() and BUG() of every kind
  /^(?:WARNING|BUG): /, // lockdep, KASAN, KFENCE, "sleeping function called from…"
  /\bkernel BUG at /,
  /\bOops: /,
  /general protection fault/,
  /^BUG \S+ \(/, // SLUB: an object or its surroundings overwritten
  /^INFO: (?:task .* blocked for more than|possible recursive locking|inconsistent lock)/,
  /^INFO: trying to register non-static key/, // lockdep, which is off from then on
  /^(?:\S+: )?INFO: .*(?:detected (?:expedited )?stalls?|self-detected stall)/,
  /^watchdog: (?:BUG|Watchdog)/,
  /^unregister_netdevice: waiting for /,
  /^Kernel panic - not syncing/,
  /^UBSAN: /,
  /^refcount_t: /,
  /^list_(?:add|del) corruption/,
  /^DMA-API: (?!preallocated|debugging)/,
  /^ref_tracker: /, // a reference to a netdev or a namespace that nobody gave back
  /^kmemleak: \d+ new suspected/,
  /^Out of memory: Killed process/,
  /^Call Trace:/, // anything that prints a stack under a name not in this list
];

/** Last lines of a complaint. */
const ENDINGS = [
  /^---\[ end (?:trace|Kernel panic)/,
  /^\d+ pages reserved$/, // of memory, as an allocation that failed tells of it
  /^={30,}$/, // KASAN; also stands before the next complaint of KASAN or lockdep
];

/** A complaint without an ending is shown up to here: lockdep's are long. */
const LONGEST_SPLAT = 150;

/** How much of the log's end is kept for messages. */
const TAIL_LINES = 60;

/**
 * Complaints of stock kernels that say nothing about the code under test. Each has
 * to name its cause.
 *
 * @type {readonly RegExp[]}
 */
export const HARMLESS = Object.freeze([
  // Emulated CPUs stop for as long as the host wants: the TSC watchdog sees jumps.
  /clocksource: (?:timekeeping )?watchdog/i,
  // The device of 6.1's udmabuf, which transfers nothing, does not say how long its pieces may be.
  /DMA-API: misc udmabuf: mapping sg segment longer/,
]);

/** @typedef {{ lines: string[] }} Splat */

export class KernelLog {
  #rest = '';
  /** @type {string[]} */
  #tail = [];
  /** @type {Splat[]} */
  #splats = [];
  /** @type {Splat | undefined} still growing */
  #open;
  #allowed;

  /** @param {readonly RegExp[]} [allowed] complaints to pass over, beside the harmless ones */
  constructor(allowed = []) {
    this.#allowed = [...HARMLESS, ...allowed];
  }

  /** @param {string} text the next piece of the log */
  push(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#take(line.replace(/\r$/, ''));
  }

  /** The log is over: an unfinished last line counts as one. */
  end() {
    if (this.#rest) this.push('\n');
  }

  /** @returns {Splat[]} the complaints so far, without the allowed ones */
  get splats() {
    return this.#splats.filter(
      ({ lines }) => !lines.some((line) => this.#allowed.some((pattern) => pattern.test(line))),
    );
  }

  /** @returns {string} the last lines */
  get tail() {
    return this.#tail.join('\n');
  }

  /** @param {string} line */
  #take(line) {
    this.#tail.push(line);
    if (this.#tail.length > TAIL_LINES) this.#tail.shift();

    const message = line.replace(TIMESTAMP, '');
    if (this.#open) {
      this.#open.lines.push(line);
    } else if (HEADLINES.some((pattern) => pattern.test(message))) {
      this.#open = { lines: [line] };
      this.#splats.push(this.#open);
    }
    const ended = ENDINGS.some((pattern) => pattern.test(message));
    if (this.#open && (ended || this.#open.lines.length >= LONGEST_SPLAT)) this.#open = undefined;
  }
}
