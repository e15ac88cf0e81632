/** What was done lately, for whoever has to explain a failure. */
export class Journal {
  static readonly #MOST = 60;
  readonly #notes: string[];
  readonly #name: string;

  /** @param of - whose it is a part of, if any */
  constructor(name = '', of?: Journal) {
    this.#name = name;
    this.#notes = of === undefined ? [] : of.#notes;
  }

  note(what: string): void {
    this.#notes.push(this.#name + what);
    if (this.#notes.length > Journal.#MOST) this.#notes.shift();
  }

  toString(): string {
    return this.#notes.join('\n');
  }
}
