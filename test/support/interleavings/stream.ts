import { once } from 'node:events';

import type { DevmemSocket } from 'devmem-tcp';
import type { Random } from '../../soak/random.mjs';
import { Conductor } from './conductor.js';
import { Consumer } from './consumer.js';
import { End } from './end.js';
import type { Journal } from './journal.js';
import type { Ledger } from './ledger.js';
import type { Opened } from './opening.js';
import { checkOutcome } from './outcome.js';
import { Peer } from './peer.js';
import { Reader } from './reader.js';
import type { Scenario } from './scenario.js';
import type { Shelf } from './shelf.js';
import type { Verdict } from './verdict.js';
import { Writer } from './writer.js';

interface Parts {
  scenario: Scenario;
  ledger: Ledger;
  shelf: Shelf;
  verdict: Verdict;
  journal: Journal;
  random: Random;
}

/** One connection, with all that the scenario has happen to it, until it is closed. */
export class Stream {
  readonly #parts: Parts;
  readonly #socket: DevmemSocket;
  readonly #consumer: Consumer;
  readonly #peer: Peer;
  readonly #writer: Writer;
  readonly #end: End;
  readonly #closed: Promise<unknown>;
  #closes = 0;

  constructor(opened: Opened, parts: Parts) {
    const { scenario, ledger, shelf, verdict, journal, random } = parts;
    const { socket } = opened;
    this.#parts = parts;
    this.#socket = socket;
    this.#closed = once(socket, 'close');
    socket.on('close', () => this.#closes++);
    this.#consumer = new Consumer(socket, {
      ...{
        ledger,
        shelf,
        verdict,
        random: random.fork('consumer'),
        keeping: scenario.keeping,
        halts: scenario.halts,
      },
    });
    const sent = scenario.early?.bytes ?? 0;
    this.#peer = new Peer(opened.peer, verdict, journal, { sent, ...scenario });
    this.#writer = new Writer(socket.writable, journal);
    this.#end = new End({
      ...{ opened, consumer: this.#consumer, peer: this.#peer, verdict, journal },
      random: random.fork('end'),
    });
  }

  async run(): Promise<void> {
    const { scenario, ledger, verdict } = this.#parts;
    const actors = [this.#conduct(), this.#end.run(scenario), this.#write(), this.#unbind()];
    actors.push(...this.#readers().map((reader) => reader.run()));
    await Promise.all(actors.map((actor) => verdict.watch(actor)));
    await ledger.answered();
    await this.#expectNoMore();
    await this.#close();
    checkOutcome({
      ...{ scenario, ledger, verdict, socket: this.#socket },
      ...{ end: this.#end, peer: this.#peer, writer: this.#writer },
    });
  }

  #readers(): Reader[] {
    const { scenario, random, journal } = this.#parts;
    return Array.from({ length: scenario.readers }, (_, index) => {
      return new Reader(this.#consumer, random.fork(`reader ${index}`), journal, scenario.pace);
    });
  }

  #conduct(): Promise<void> {
    const { ledger, journal, scenario, random } = this.#parts;
    const parts = { socket: this.#socket, peer: this.#peer, ledger, journal };
    return new Conductor({ ...parts, random: random.fork('conductor') }).run(scenario);
  }

  async #write(): Promise<void> {
    const { writes, end } = this.#parts.scenario.writing;
    if (end === 'late') return;
    await this.#writer.write(writes);
    if (end === 'early') this.#writer.end();
  }

  async #unbind(): Promise<void> {
    const { scenario, ledger, journal } = this.#parts;
    if (scenario.unbindAt === undefined) return;
    await ledger.reached(scenario.unbindAt);
    journal.note('closes the binding');
    await this.#socket.binding.close();
  }

  // The end goes on for ever, and a rejection that nobody was there for comes before it.
  async #expectNoMore(): Promise<void> {
    const { ledger } = this.#parts;
    for (let call = 0; call < 3; call++) {
      await this.#consumer.take(this.#consumer.iterator(this.#parts.random));
    }
    this.#parts.verdict.hold(ledger.ended, () => 'nobody got the end');
  }

  async #close(): Promise<void> {
    const { scenario, verdict } = this.#parts;
    const { writing, allowHalfOpen } = scenario;
    // return() after the peer's end leaves it open, too.
    if (!this.#socket.closed && allowHalfOpen) {
      if (writing.end === 'never') void verdict.watch(this.#socket.close());
      if (writing.end === 'late') {
        await this.#writer.write(writing.writes);
        this.#writer.end();
      }
    }
    await this.#closed;
    this.#peer.end();
    await this.#socket.close();
    await this.#peer.closed();
    verdict.hold(this.#socket.closed, () => 'the socket says that it is not closed');
    verdict.hold(this.#closes === 1, () => `'close' was emitted ${this.#closes} times`);
  }
}
