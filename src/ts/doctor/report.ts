/** What the doctor finds. */

/**
 * - `ok`: as it should be.
 * - `warning`: receiving could work, but something is in its way that `devmem-tcp
 *   recv` or `prepareInterface()` changes by itself, or is dangerous or slow.
 * - `missing`: receiving cannot work like this, or it is not known whether it could.
 */
export type Status = 'ok' | 'warning' | 'missing';

/** What a finding is about. */
export type Area = 'kernel' | 'interface' | 'memory' | 'topology' | 'privilege';

/** One thing that was looked at. */
export interface Finding {
  /** Stays the same between versions, such as `kernel.bind-rx` or `interface.xdp`. */
  id: string;
  /** What it is about. */
  area: Area;
  /** The interface that it is about. */
  interface?: string;
  /** How it is. */
  status: Status;
  /** What is, in a few words. */
  title: string;
  /** Why it matters. */
  why?: string;
  /** What to do about it, in words. */
  fix?: string;
  /** The commands that do so, to be run as root. */
  commands?: string[];
}

/** What `diagnose()` found. */
export interface Report {
  /** Whether a devmem receive could work here. */
  ready: boolean;
  /** The kernel's release, where known. */
  kernel: string | undefined;
  /** Interfaces that could receive, best first. */
  interfaces: string[];
  /** All that was looked at, in the order of the areas. */
  findings: Finding[];
}

/** A finding without what all findings of its file have in common. */
export type Part = Omit<Finding, 'area' | 'interface'>;
