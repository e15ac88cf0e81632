import { subscribe, unsubscribe } from 'node:diagnostics_channel';

/** Listens to a diagnostics channel until the end of its block. */
export class Recorder<Message> implements Disposable {
  readonly messages: Message[] = [];
  /** Called with each message, in the midst of what publishes it. */
  onMessage: ((message: Message) => void) | undefined;
  readonly #name: string;
  #waiting: ((message: Message) => void)[] = [];

  constructor(name: string) {
    this.#name = name;
    subscribe(name, this.#onMessage);
  }

  /** The next message from now on. */
  next(): Promise<Message> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  [Symbol.dispose](): void {
    unsubscribe(this.#name, this.#onMessage);
  }

  readonly #onMessage = (message: unknown): void => {
    this.messages.push(message as Message);
    this.onMessage?.(message as Message);
    for (const resolve of this.#waiting.splice(0)) resolve(message as Message);
  };
}
