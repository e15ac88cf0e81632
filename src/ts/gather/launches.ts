/** Launches on a GPU, in order: who waits for a slot, and who for which launch. */

/** A copy, made by one launch after the other. */
export interface Copy<Failure extends object> {
  /**
   * Starts the next launch.
   *
   * @returns its number; 0: no slot is free, so that it has to be asked for again;
   *   undefined: none is left to start
   */
  launch(): number | Failure | undefined;
  /** A launch of this copy is done. What it throws, the copy fails with. */
  done?(launch: number): void;
}

interface Pending<Failure extends object> {
  copy: Copy<Failure>;
  /** Whether it can begin. */
  ready: boolean;
  /** Launches under way. */
  underWay: number;
  launchedAll: boolean;
  error: Error | undefined;
  settle(error: Error | undefined): void;
}

export class Launches<Failure extends object> {
  readonly #toError: (failure: Failure) => Error;
  // In order, those that have something left to launch.
  readonly #waiting: Pending<Failure>[] = [];
  // In order.
  readonly #underWay: { launch: number; of: Pending<Failure> }[] = [];
  readonly #idle: (() => void)[] = [];

  constructor(toError: (failure: Failure) => Error) {
    this.#toError = toError;
  }

  /**
   * Makes the copy after all that were asked for before.
   *
   * @param ready - resolves once it can begin; undefined: it can
   */
  run(copy: Copy<Failure>, ready: Promise<void> | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const pending: Pending<Failure> = {
        copy,
        ready: false,
        underWay: 0,
        launchedAll: false,
        error: undefined,
        settle: (error) => {
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#waiting.push(pending);
      const begin = (): void => {
        pending.ready = true;
        this.#pump();
      };
      if (ready === undefined) begin();
      else {
        ready.then(begin, (error: unknown) => {
          this.#fail(pending, error as Error);
          this.#pump();
        });
      }
    });
  }

  /** The launches up to `launch` have ended. */
  ended(launch: number, failure: Failure | undefined): void {
    while (this.#underWay[0] !== undefined && this.#underWay[0].launch <= launch) {
      const { launch: number, of } = this.#underWay.shift()!;
      of.underWay--;
      if (failure !== undefined) this.#fail(of, this.#toError(failure));
      else this.#done(of, number);
      this.#settle(of);
    }
  }

  /** Slots are free again. */
  resume(): void {
    this.#pump();
  }

  /** Resolves when nothing waits and nothing is under way. */
  async idle(): Promise<void> {
    while (this.#waiting.length > 0 || this.#underWay.length > 0) {
      await new Promise<void>((resolve) => {
        this.#idle.push(resolve);
      });
    }
  }

  #pump(): void {
    for (let first = this.#waiting[0]; first?.ready === true; first = this.#waiting[0]) {
      if (!this.#launchNext(first)) return;
    }
  }

  /** Whether there may be another slot. */
  #launchNext(pending: Pending<Failure>): boolean {
    let launched: number | Failure | undefined;
    try {
      launched = pending.copy.launch();
    } catch (error) {
      this.#fail(pending, error as Error);
      return true;
    }
    if (launched === 0) return false;
    if (launched === undefined) {
      pending.launchedAll = true;
      this.#waiting.shift();
      this.#settle(pending);
    } else if (typeof launched === 'number') {
      pending.underWay++;
      this.#underWay.push({ launch: launched, of: pending });
    } else {
      this.#fail(pending, this.#toError(launched));
    }
    return true;
  }

  #done(pending: Pending<Failure>, launch: number): void {
    try {
      pending.copy.done?.(launch);
    } catch (error) {
      this.#fail(pending, error as Error);
    }
  }

  /** Launches no more of it. */
  #fail(pending: Pending<Failure>, error: Error): void {
    pending.error ??= error;
    const at = this.#waiting.indexOf(pending);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.#settle(pending);
  }

  /** Not before all launches have ended: source and target are in use until then. */
  #settle(pending: Pending<Failure>): void {
    if (pending.underWay > 0 || (!pending.launchedAll && pending.error === undefined)) return;
    pending.settle(pending.error);
    if (this.#waiting.length > 0 || this.#underWay.length > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
