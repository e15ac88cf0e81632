import type { DevmemSocket } from 'devmem-tcp';
import type { Random } from '../../soak/random.mjs';
import type { Journal } from './journal.js';
import type { Ledger } from './ledger.js';
import { rest } from './pause.js';
import type { Peer } from './peer.js';
import { drawWrites, type Scenario, type Stretch } from './scenario.js';

interface Parts {
  socket: DevmemSocket;
  ledger: Ledger;
  peer: Peer;
  journal: Journal;
  random: Random;
}

/** Has the peer send stretch after stretch, each once all of the one before was seen. */
export class Conductor {
  readonly #socket: DevmemSocket;
  readonly #ledger: Ledger;
  readonly #peer: Peer;
  readonly #journal: Journal;
  readonly #random: Random;
  // The mark, and the reader's position where it was set.
  #every = 1;
  #since = 0;

  constructor(parts: Parts) {
    this.#socket = parts.socket;
    this.#ledger = parts.ledger;
    this.#peer = parts.peer;
    this.#journal = parts.journal;
    this.#random = parts.random;
  }

  async run({ stretches, peerEnds }: Scenario): Promise<void> {
    for (const [index, stretch] of stretches.entries()) {
      if (index > 0) this.#mark(stretch.mark);
      await Promise.all([this.#peer.send(stretch.writes), this.#change(stretch)]);
      const last = index === stretches.length - 1;
      // The end wakes too, and may come before the rest is read.
      if (last && peerEnds) this.#peer.end();
      else await this.#fill();
      if (!(await this.#ledger.reached(this.#peer.sent))) return;
    }
  }

  async #change({ changes }: Stretch): Promise<void> {
    for (const { mark, pause } of changes) {
      await rest(pause);
      // What was taken before is in the ledger then.
      await rest('turn');
      this.#mark(mark);
    }
  }

  #mark(bytes: number): void {
    this.#journal.note(`low-water mark ${bytes}`);
    this.#socket.setLowWaterMark(bytes);
    this.#every = bytes;
    this.#since = this.#ledger.position;
  }

  // A stream that stops before the next multiple of the mark leaves its reader waiting.
  async #fill(): Promise<void> {
    const beyond = (this.#peer.sent - this.#since) % this.#every;
    if (beyond > 0) await this.#peer.send(drawWrites(this.#random, this.#every - beyond));
  }
}
