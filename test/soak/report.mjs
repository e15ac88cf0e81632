// @ts-check
/** What happened: counts, the last events, the first violation. */

const TAIL = 300;

/** The first thing that must not be. */
export class Violation extends Error {}

/** What a stream's or a fault's own plan throws. */
export class PlannedError extends Error {}

export class Journal {
  #started = performance.now();
  /** @type {string[]} */
  #tail = [];
  /** @type {Map<string, number>} */
  #counts = new Map();
  /** @type {((error: Error) => void) | undefined} */
  #onViolation;
  /** @type {Violation | undefined} */
  violation;

  /** Seconds since the start. */
  get seconds() {
    return (performance.now() - this.#started) / 1000;
  }

  /** The last events, oldest first. */
  get tail() {
    return this.#tail;
  }

  /** Counts by kind of event, sorted by name. */
  get counts() {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** @param {(error: Error) => void} callback called once, with the first violation */
  onViolation(callback) {
    this.#onViolation = callback;
  }

  /**
   * @param {string} kind
   * @param {number} [amount]
   */
  count(kind, amount = 1) {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + amount);
  }

  /** @param {string} text */
  note(text) {
    this.#tail.push(`${this.seconds.toFixed(3).padStart(9)} ${text}`);
    if (this.#tail.length > TAIL) this.#tail.shift();
  }

  /**
   * Counts an event and remembers it.
   * @param {string} kind
   * @param {string} [details]
   */
  event(kind, details = '') {
    this.count(kind);
    this.note(`${kind} ${details}`);
  }

  /** @param {string} text what must not be */
  violate(text) {
    this.note(`VIOLATION ${text}`);
    if (this.violation !== undefined) return;
    this.violation = new Violation(text);
    this.#onViolation?.(this.violation);
  }
}

/**
 * @param {Record<string, number>} counts
 * @returns {string} a line for each
 */
export function table(counts) {
  const width = Math.max(...Object.keys(counts).map((name) => name.length));
  return Object.entries(counts)
    .map(([name, count]) => `  ${name.padEnd(width)}  ${count.toLocaleString('en').padStart(15)}\n`)
    .join('');
}

/** @param {number} bytes */
export function mebibytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** @param {unknown} error */
export function codeOf(error) {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error ? String(error.code) : error.name;
}
