// @ts-check
/**
 * What the lab says about itself: short lines on stderr, and errors that carry
 * an exit status. stdout is never touched: it belongs to the command in the guest.
 */

/** Exit statuses that the lab itself gives; the command's own pass through. */
export const STATUS = Object.freeze({
  /** Bad command line (sysexits EX_USAGE). */
  usage: 64,
  /** Something the lab needs is not there (EX_UNAVAILABLE). */
  unavailable: 69,
  /** The guest's kernel complained, panicked, or died (EX_SOFTWARE). */
  kernel: 70,
  /** The time limit passed, as timeout(1) reports it. */
  timeout: 124,
});

/** An error with a message for a person and the exit status that it stands for. */
export class LabError extends Error {
  /**
   * @param {string} message
   * @param {number} [status]
   */
  constructor(message, status = STATUS.unavailable) {
    super(message);
    this.name = 'LabError';
    this.status = status;
  }
}

/**
 * @param {unknown} thrown
 * @returns {string}
 */
export const messageOf = (thrown) => (thrown instanceof Error ? thrown.message : String(thrown));

/**
 * @typedef {object} Reporter
 * @property {(line: string) => void} note   progress; dropped when quiet
 * @property {(line: string) => void} alert  trouble; always shown
 */

/**
 * @param {{ quiet?: boolean, write?: (text: string) => void }} [options]
 * @returns {Reporter}
 */
export function createReporter({
  quiet = false,
  write = (text) => void process.stderr.write(text),
} = {}) {
  const show = (/** @type {string} */ line) => write(`lab: ${line}\n`);
  return { note: quiet ? () => {} : show, alert: show };
}

/**
 * @param {number} startedAt `performance.now()` when the thing began
 * @returns {string} e.g. "5.2 s"
 */
export const since = (startedAt) => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
