/** What setting an interface up would change, in words. */
import { queueList } from './queue-list.js';
import { printable } from './quoting.js';

/** What a step sets, as `ethtool` knows it. */
export type Setting =
  'channels' | 'header-split' | 'hds-thresh' | 'rss' | 'rss-context' | 'ntuple' | 'flow-rule';

/** One thing that the interface needs for devmem TCP. */
export interface PlanStep {
  /** Which setting. */
  readonly setting: Setting;
  /** What it is, e.g. `header split`. */
  readonly what: string;
  /** As it is now. */
  readonly current: string;
  /** As it has to be. */
  readonly wanted: string;
  /** Whether something has to be done at all. */
  readonly changes: boolean;
  /** How `ethtool` would do it. */
  readonly command: string;
  /** What is in the way, each with what would be needed. */
  readonly blockers: readonly string[];
}

export interface PlanParts {
  interface: string;
  driver: string;
  queues: readonly number[];
  steps: readonly PlanStep[];
  blockers: readonly string[];
  notes: readonly string[];
}

/** What is, what has to be, and what is in the way. Making one changes nothing. */
export class InterfacePlan {
  /** The kernel's own name for it. */
  readonly interface: string;
  /** The driver's name, e.g. `'mlx5_core'`. */
  readonly driver: string;
  /** The rx queues that the preparation is for. */
  readonly queues: readonly number[];
  /** In the order in which they are done. */
  readonly steps: readonly PlanStep[];
  /** Everything in the way: of the interface as a whole, then of each step. */
  readonly blockers: readonly string[];
  /** What is worth knowing, and in nobody's way. */
  readonly notes: readonly string[];

  /** @internal */
  constructor(parts: PlanParts) {
    this.interface = parts.interface;
    this.driver = parts.driver;
    this.queues = [...parts.queues];
    this.steps = parts.steps;
    this.blockers = [...parts.blockers, ...parts.steps.flatMap((step) => step.blockers)];
    this.notes = parts.notes;
  }

  /** Whether applying it would change anything. */
  get changes(): boolean {
    return this.steps.some((step) => step.changes);
  }

  /**
   * The plan as it was carried out: without some steps, for the reason that a note gives.
   *
   * @internal
   */
  without(left: readonly PlanStep[], note: string): InterfacePlan {
    const { interface: name, driver, queues } = this;
    const steps = this.steps.map((step) =>
      left.includes(step) ? { ...step, wanted: step.current, changes: false } : step,
    );
    const notes = [...this.notes, note];
    return new InterfacePlan({ interface: name, driver, queues, steps, blockers: [], notes });
  }

  /** For a terminal: a line per step, its command below, then blockers and notes. */
  toString(): string {
    const lines = [
      `${printable(this.interface)} (${printable(this.driver)}), queues ${queueList(this.queues)}`,
    ];
    const width = Math.max(0, ...this.steps.map((step) => step.what.length));
    for (const step of this.steps) {
      const mark = step.blockers.length > 0 ? '!' : step.changes ? '*' : ' ';
      const values = step.changes ? `${step.current} -> ${step.wanted}` : step.current;
      lines.push(`${mark} ${step.what.padEnd(width)}  ${values}`);
      if (step.changes) lines.push(`  ${''.padEnd(width)}  ${step.command}`);
    }
    for (const blocker of this.blockers) lines.push(`in the way: ${blocker}`);
    for (const note of this.notes) lines.push(`note: ${note}`);
    if (!this.changes && this.blockers.length === 0) lines.push('nothing to change');
    return lines.join('\n');
  }
}
