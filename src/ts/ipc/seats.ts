/** Room for clients: of all users together, and of each. */

/** Which of a server's limits was reached. */
export type SeatLimit = 'maxClients' | 'maxClientsPerUser';

/** Makes the error for a client that has no seat. */
export type SeatRefusal = (what: string, limit: SeatLimit) => Error;

export class Seats {
  readonly #max: number;
  readonly #maxPerUser: number;
  readonly #refusal: SeatRefusal;
  readonly #taken = new Map<number, number>();
  #total = 0;

  constructor(max: number, maxPerUser: number, refusal: SeatRefusal) {
    this.#refusal = refusal;
    this.#max = max;
    this.#maxPerUser = maxPerUser;
  }

  get taken(): number {
    return this.#total;
  }

  /**
   * Takes a seat for a user.
   *
   * @returns gives it back; to be called once
   * @throws what the refusal makes, where there is none
   */
  take(uid: number): () => void {
    const own = this.#taken.get(uid) ?? 0;
    if (this.#total >= this.#max) {
      throw this.#refusal(`has ${this.#max} clients already`, 'maxClients');
    }
    if (own >= this.#maxPerUser) {
      throw this.#refusal(`has ${own} clients of user ${uid} already`, 'maxClientsPerUser');
    }
    this.#set(uid, own + 1);
    return () => {
      this.#set(uid, (this.#taken.get(uid) ?? 0) - 1);
    };
  }

  #set(uid: number, count: number): void {
    this.#total += count - (this.#taken.get(uid) ?? 0);
    if (count === 0) this.#taken.delete(uid);
    else this.#taken.set(uid, count);
  }
}
