/**
 * Batches and fragments that nobody can release any more, because they were collected.
 * What nobody had looked at goes back: whoever buffered it has dropped it. The rest stays
 * held, since somebody knows where it lies and may still use it; the process is warned.
 */
import type { Batch } from './batch.js';
import type { Lease } from './lease.js';

/** What a warning says, once for each socket. */
interface Origin {
  name: string;
  warned: boolean;
}

const collected = new FinalizationRegistry<{ lease: Lease; origin: Origin }>(
  ({ lease, origin }) => {
    if (lease.releaseUnseen() || origin.warned) return;
    origin.warned = true;
    process.emitWarning(
      `A batch or fragments received by ${origin.name} were collected without release(): their memory stays held`,
      {
        type: 'DevmemUnreleasedWarning',
        code: 'DEVMEM_UNRELEASED',
        detail:
          'Declare batches and fragments with `using`, or call release() when done with them.',
      },
    );
  },
);

/**
 * One socket's batches, watched from the moment that the next one is handed out: most are
 * released by then, and cost nothing.
 */
export class UnreleasedWatch {
  readonly #name: () => string;
  #origin: Origin | undefined;
  #last: Batch | undefined;

  /** @param name - tells the connection's ends */
  constructor(name: () => string) {
    this.#name = name;
  }

  handedOut(batch: Batch): void {
    this.#watch();
    this.#last = batch;
  }

  /** Nothing more will be. */
  end(): void {
    this.#watch();
    this.#last = undefined;
  }

  #watch(): void {
    const batch = this.#last;
    if (batch === undefined || batch.released) return;
    this.#origin ??= { name: this.#name(), warned: false };
    collected.register(batch, { lease: batch.lease, origin: this.#origin });
  }
}
