/** A progress bar (where the end is known) and rate on a terminal's stderr; silent anywhere else. */
import { formatBytes, formatRate } from './format.js';
import { stderr } from './output.js';

const WIDTH = 30;
const INTERVAL_MS = 100;

export class Progress {
  readonly #total: number | undefined;
  readonly #active: boolean;
  readonly #started = performance.now();
  #lastDrawn = 0;

  /**
   * @param total - bytes to come; undefined: nobody knows
   * @param wanted - whether to draw at all
   */
  constructor(total: number | undefined, wanted: boolean) {
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
    if (this.#active && this.#lastDrawn > 0) stderr.write('\r\x1b[K');
  }

  #draw(bytes: number, now: number): void {
    const rate = formatRate((bytes / Math.max(now - this.#started, 1)) * 1000);
    const bar = this.#total === undefined ? '' : drawBar(bytes / this.#total);
    stderr.write(`\r\x1b[K${bar}${formatBytes(bytes)}  ${rate}`);
  }
}

function drawBar(share: number): string {
  const filled = Math.round(Math.min(share, 1) * WIDTH);
  const percent = `${Math.floor(Math.min(share, 1) * 100)}%`.padStart(4);
  return `${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)} ${percent}  `;
}
