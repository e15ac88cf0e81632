/** Setting an interface up for devmem TCP, and putting everything back. */
import type { Flow } from './flows.js';
import type { InterfacePlan } from './plan.js';

export type { Flow } from './flows.js';
export { InterfacePlan, type PlanStep, type Setting } from './plan.js';

export interface PrepareOptions {
  /** The network interface, e.g. `'eth1'`. */
  interface: string;
  /** Receive queues that memory is to be bound to, e.g. `[14, 15]`; each 0 to 65535. */
  queues: readonly number[];
  /**
   * Connections to steer to the queues. Default none: then nothing but rules made
   * elsewhere brings traffic to them.
   */
  flows?: readonly Flow[];
  /**
   * Where the journal lies: a folder that only this user can write to. Default
   * `$DEVMEM_TCP_RUNTIME_DIR`, else `/run/devmem-tcp` for root and
   * `$XDG_RUNTIME_DIR/devmem-tcp` for others.
   */
  runtimeDirectory?: string;
}

/** What became of one setting. */
export interface RestoredSetting {
  /** E.g. `header split`. */
  readonly what: string;
  /**
   * - `restored`: as it was before.
   * - `unchanged`: it was as before already.
   * - `kept`: another preparation of the interface needs it; the last one restores it.
   * - `skipped`: somebody else changed it meanwhile, and it was left alone.
   */
  readonly outcome: 'restored' | 'unchanged' | 'kept' | 'skipped';
  /** Values, or the reason. */
  readonly detail: string;
}

export interface RestoreReport {
  readonly interface: string;
  readonly queues: readonly number[];
  readonly settings: readonly RestoredSetting[];
}

/** An interface that was set up; dispose of it after the binding. */
export interface PreparedInterface extends AsyncDisposable {
  readonly interface: string;
  readonly queues: readonly number[];
  /** What was done. */
  readonly plan: InterfacePlan;
  /** Puts everything back, in reverse order. Later calls give the same report. */
  restore(): Promise<RestoreReport>;
}
