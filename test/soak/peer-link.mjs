// @ts-check
/** The driver's hold on the peer process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** @typedef {import('./peer.mjs').Closed} Closed */

const PROGRAM = fileURLToPath(new URL('peer.mjs', import.meta.url));

export class Peer {
  #process;
  #ready;
  #stopping = false;

  /**
   * @param {(closed: Closed) => void} onClosed a stream's end at the peer
   * @param {(reason: string) => void} onDeath
   */
  constructor(onClosed, onDeath) {
    this.#process = spawn('peer', [process.execPath, PROGRAM], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: this.#process.stdout });
    this.#ready = once(lines, 'line').then(() => {
      lines.on('line', (line) => {
        /** @type {Closed} */
        const closed = JSON.parse(line);
        onClosed(closed);
      });
    });
    this.#process.on('exit', (status, signal) => {
      if (!this.#stopping) onDeath(`the peer ended: ${signal ?? String(status)}`);
    });
  }

  async ready() {
    await this.#ready;
  }

  /** @param {import('./peer.mjs').Command} command */
  tell(command) {
    this.#process.stdin.write(`${JSON.stringify(command)}\n`);
  }

  async stop() {
    this.#stopping = true;
    this.#process.stdin.end();
    await once(this.#process, 'exit');
  }
}
