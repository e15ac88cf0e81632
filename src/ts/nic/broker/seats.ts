/** Room for clients: of all users together, and of each. */
import { refusal } from './policy.js';

export class Seats {
  readonly #max: number;
  readonly #maxPerUser: number;
  readonly #taken = new Map<number, number>();
  #total = 0;

  constructor(max: number, maxPerUser: number) {
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
   * @throws DevmemError ERR_DEVMEM_BROKER_REFUSED where there is none
   */
  take(uid: number): () => void {
    const own = this.#taken.get(uid) ?? 0;
    if (this.#total >= this.#max) {
      throw refusal(`has ${this.#max} clients already`, 'max-clients lets more in');
    }
    if (own >= this.#maxPerUser) {
      throw refusal(
        `has ${own} clients of user ${uid} already`,
        'max-clients-per-user lets more of one user in',
      );
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
