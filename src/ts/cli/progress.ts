/** A progress bar with rate on a terminal's stderr; silent anywhere else. */
import { formatBytes, formatRate } from './format.js';

const WIDTH = 30;
const INTERVAL_MS = 100;

export class Progress {
  readonly #total: number;
  readonly #active: boolean;
  readonly #started = performance.now();
  #lastDrawn = 0;

  /**
   * @param total - bytes to come
   * @param wanted - whether to draw at all
   */
  constructor(total: number, wanted: boolean) {
    this.#total = total;
    // A guest's output ends on a terminal that the guest cannot see.
    const terminal = process.stderr.isTTY || process.env.DEVMEM_PROGRESS === '1';
    this.#active = wanted && terminal;
  }

  /** Shows how far it has come. Cheap when called often. */
  update(bytes: number): void {
    if (!this.#active) return;
    const now = performance.now();
    if (now - this.#lastDrawn < INTERVAL_MS) return;
    this.#lastDrawn = now;
    this.#draw(bytes, now);
  }

  /** Takes the bar off the screen. */
  clear(): void {
    if (this.#active && this.#lastDrawn > 0) process.stderr.write('\r\x1b[K');
  }

  #draw(bytes: number, now: number): void {
    const share = Math.min(bytes / this.#total, 1);
    const filled = Math.round(share * WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled);
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const rate = formatRate((bytes / Math.max(now - this.#started, 1)) * 1000);
    process.stderr.write(`\r\x1b[K${bar} ${percent}  ${formatBytes(bytes)}  ${rate}`);
  }
}
