import { type Binding, bindRx, type DevmemSocket } from 'devmem-tcp';
import { Random } from '../../soak/random.mjs';
import { type Resources, resources } from '../leaks.js';
import { rejectionOf } from '../thrown.js';
import { bind } from '../transports.js';
import { Bystander } from './bystander.js';
import { Complaints } from './complaints.js';
import { Journal } from './journal.js';
import { Ledger } from './ledger.js';
import { open, type Opened } from './opening.js';
import { rest } from './pause.js';
import { Relief } from './relief.js';
import type { Scenario } from './scenario.js';
import { Shelf } from './shelf.js';
import { Stream } from './stream.js';
import { Verdict } from './verdict.js';

/** One binding and its sockets, from the memory's allocation until nothing is left. */
export class Interleaving {
  readonly journal = new Journal();
  readonly #verdict = new Verdict();
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #shelf: Shelf;
  readonly #ledger: Ledger;
  #socket: DevmemSocket | undefined;
  #missing: Resources | undefined;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#random = new Random(scenario.seed).fork(`${scenario.transport}, at work`);
    this.#shelf = new Shelf(this.#random.fork('shelf'));
    this.#ledger = new Ledger(this.#verdict, this.journal);
  }

  /** Rejects with whatever was wrong first. */
  run(): Promise<void> {
    return Promise.race([this.#run(), this.#verdict.failure]);
  }

  /** Where it stands, for whoever has to explain a failure. */
  get state(): string {
    const { position, pending, over } = this.#ledger;
    const { binding, stats } = this.#socket ?? {};
    const held = binding && { bytes: binding.heldBytes, limit: binding.heldLimit };
    const kept = this.#shelf.length;
    const left = this.#missing && { before: this.#missing, now: resources() };
    return JSON.stringify({ position, pending, over, kept, held, stats, left });
  }

  async #run(): Promise<void> {
    const before = resources();
    const { transport, memory: size, heldLimit, stallWarningMs } = this.#scenario;
    const limit = heldLimit === undefined ? {} : { heldLimit };
    const { binding, memory } = await bind(transport, { size, stallWarningMs, ...limit });
    const expected = stallWarningMs === Infinity ? [] : ['DevmemStallWarning'];
    using complaints = new Complaints(this.#verdict, expected);
    complaints.listen();
    await this.#use(binding);
    // What is still in use cannot be bound again.
    await (await bindRx({ memory, mode: 'copy' })).close();
    await memory.close();
    this.#missing = before;
    while (JSON.stringify(resources()) !== JSON.stringify(before)) await rest(1);
    // Node tells of rejections at the end of a turn.
    await rest('turn');
  }

  async #use(binding: Binding): Promise<void> {
    const parts = { shelf: this.#shelf, binding, scenario: this.#scenario };
    using relief = new Relief(parts, this.#verdict, this.journal);
    relief.listen();
    const opened = await open(binding, this.#scenario, this.#verdict);
    this.#socket = opened.socket;
    const bystander = await this.#openBystander(binding);
    await new Stream(opened, {
      ...{ scenario: this.#scenario, ledger: this.#ledger, shelf: this.#shelf },
      ...{ verdict: this.#verdict, journal: this.journal, random: this.#random },
    }).run();
    await this.#takeDown(opened, binding, bystander);
    // Single releases count at the end of the turn.
    while (binding.heldBytes > 0 || opened.socket.stats.heldFragments > 0) await rest('turn');
  }

  async #openBystander(binding: Binding): Promise<Bystander | undefined> {
    const { bystander: plan } = this.#scenario;
    if (plan === undefined) return undefined;
    const random = this.#random.fork('bystander');
    return Bystander.open(binding, plan, { random, verdict: this.#verdict, journal: this.journal });
  }

  /** In any order. */
  async #takeDown(opened: Opened, binding: Binding, bystander?: Bystander): Promise<void> {
    const steps: Record<string, () => unknown> = {
      'releases all': () => {
        this.#shelf.check();
        this.#shelf.releaseAll();
      },
      'closes the binding': () => binding.close(),
      'closes what opened it': () => opened.end(),
      'finishes the bystander': () => bystander?.finish(),
      "releases all of the bystander's": () => bystander?.releaseAll(),
    };
    for (const name of this.#random.shuffled(Object.keys(steps))) {
      this.journal.note(name);
      if (binding.heldBytes > 0) await this.#expectInUse(binding);
      await steps[name]!();
    }
  }

  async #expectInUse({ memory }: Binding): Promise<void> {
    const error: NodeJS.ErrnoException = await rejectionOf(bindRx({ memory, mode: 'copy' }));
    this.#verdict.hold(error.code === 'ERR_DEVMEM_MEMORY_IN_USE', () => String(error));
  }
}
