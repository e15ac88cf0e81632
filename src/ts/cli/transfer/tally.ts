/** What came, over one connection and over all of them. */

export interface Received {
  bytes: number;
  seconds: number;
  frags: number;
  deviceBytes: number;
  linearBytes: number;
  copiedBytes: number;
  /** Times reading stood still because too much memory was held. */
  stalls: number;
}

/** What came over one connection. */
export interface ConnectionResult extends Received {
  /** The peer's address and port. */
  remote: string;
  /** Whether every byte was the pattern's; undefined where nobody looked. */
  verified?: boolean;
  /** Position of the first byte that was not. */
  firstWrong?: number;
  /** What ended the connection, if it failed. */
  error?: string;
}

/** A byte that is not what it should be. */
export interface WrongByte {
  /** The peer's address and port. */
  remote: string;
  /** Where in its stream. */
  position: number;
}

/** Of so many connections, the last ones, a transfer without end remembers each. */
export const REMEMBERED = 10_000;

/** Appends to a list, which forgets what is too long ago. */
export function remember<T>(list: T[], item: T): void {
  list.push(item);
  if (list.length > REMEMBERED) list.shift();
}

const SUMS = ['frags', 'deviceBytes', 'linearBytes', 'copiedBytes', 'stalls'] as const;

export type Sums = Pick<Received, (typeof SUMS)[number]>;

/** What came over all connections, in the order of their ends. */
export class Tally {
  readonly sums: Sums = { frags: 0, deviceBytes: 0, linearBytes: 0, copiedBytes: 0, stalls: 0 };
  /** The last of them. */
  readonly latest: ConnectionResult[] = [];
  #connections = 0;
  #failed = 0;
  #verified: boolean | undefined;
  #wrongByte: WrongByte | undefined;

  get connections(): number {
    return this.#connections;
  }

  /** Connections that ended with an error. */
  get failed(): number {
    return this.#failed;
  }

  /** Whether every byte of all was the pattern's; undefined where nobody looked. */
  get verified(): boolean | undefined {
    return this.#verified;
  }

  /** That of the first connection which had one. */
  get wrongByte(): WrongByte | undefined {
    return this.#wrongByte;
  }

  add(result: ConnectionResult): void {
    this.#connections++;
    for (const name of SUMS) this.sums[name] += result[name];
    if (result.error !== undefined) this.#failed++;
    if (result.verified !== undefined) {
      this.#verified = result.verified && this.#verified !== false;
    }
    if (result.firstWrong !== undefined) {
      this.#wrongByte ??= { remote: result.remote, position: result.firstWrong };
    }
    remember(this.latest, result);
  }
}
