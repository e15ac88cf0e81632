/** Whoever waits for something of a stream: answered in the order of the calls. */
import { onAbort, throwIfAborted } from '../abort.js';

/** Makes what was asked for of what is there; undefined where that is not enough. */
export type Take<T> = () => T | undefined;

export interface Wish {
  /** Gives up waiting when aborted: rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** Called where it will not be met: what was taken for it may be put back. */
  giveUp?: () => void;
  /**
   * Called where the memory is full of what it waits for, so that no more can come: what it
   * is rejected with. Left out where it takes what comes.
   */
  tooMuch?: () => Error;
}

interface Request {
  readonly take: Take<unknown>;
  readonly tooMuch: (() => Error) | undefined;
  /** Whether it is done with: met, or given up. */
  meet(): boolean;
  fail(error: Error): void;
  end(): void;
}

/** Who is told of what happens here. */
export interface Listener {
  /** Somebody waits. */
  wanted(): void;
  /** Somebody was told of the end. */
  endTold(): void;
}

export class RequestQueue {
  readonly #listener: Listener;
  readonly #requests: Request[] = [];
  // The one that is being met: what that takes, gives back or calls may come back here.
  #meeting: Request | undefined;
  #over = false;
  // Rejects one request, once.
  #error: Error | undefined;
  #failure: Error | undefined;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  /** Whether somebody waits. */
  get waiting(): boolean {
    return this.#requests.length > 0;
  }

  /** Whether nothing more will come. */
  get over(): boolean {
    return this.#over;
  }

  /** What the stream failed with. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** As Cursor.request(). */
  request<T>(take: Take<T>, atEnd: T, wish: Wish): Promise<T> {
    try {
      throwIfAborted(wish.signal);
      if (this.#requests.length === 0) {
        const taken = take();
        if (taken !== undefined) return Promise.resolve(taken);
        if (this.#over) return this.#atEnd(atEnd, wish);
      }
    } catch (error) {
      wish.giveUp?.();
      return rejected(error);
    }
    return this.#wait(take, atEnd, wish);
  }

  /** Rejects the request, if it still waits. */
  cancel(take: Take<unknown>, reason: Error): void {
    const index = this.#requests.findIndex((request) => request.take === take);
    if (index < 0) return;
    const [request] = this.#requests.splice(index, 1);
    request!.fail(reason);
    if (index === 0) this.meet();
  }

  /** As Cursor.full(). */
  full(): boolean {
    const [request] = this.#requests;
    if (request?.tooMuch === undefined || request === this.#meeting) return false;
    this.cancel(request.take, request.tooMuch());
    return true;
  }

  /** What somebody waits for may be there. */
  meet(): void {
    if (this.#meeting !== undefined) return;
    for (let request; (request = this.#requests[0]) !== undefined;) {
      this.#meeting = request;
      const met = request.meet();
      this.#meeting = undefined;
      // It may have been cancelled meanwhile.
      if (this.#requests[0] !== request) continue;
      if (!met) return;
      this.#requests.shift();
    }
  }

  /** Nothing more will come: answers whoever waits, with what is there or with the end. */
  end(error: Error | undefined): void {
    this.#over = true;
    this.fail(error);
    for (let request; (request = this.#requests.shift()) !== undefined;) {
      // What one could not have may be enough for the next.
      if (!request.meet()) this.#answerAtEnd(request);
    }
  }

  /** What the next one is rejected with that comes to the end. */
  fail(error: Error | undefined): void {
    this.#failure = this.#error = error;
  }

  #wait<T>(take: Take<T>, atEnd: T, { signal, giveUp, tooMuch }: Wish): Promise<T> {
    return new Promise((resolve, reject) => {
      let disobey: (() => void) | undefined;
      const fail = (error: Error): void => {
        disobey?.();
        giveUp?.();
        reject(error);
      };
      this.#requests.push({
        take,
        tooMuch,
        meet: () => {
          try {
            const taken = take();
            if (taken === undefined) return false;
            disobey?.();
            resolve(taken);
          } catch (error) {
            fail(error as Error);
          }
          return true;
        },
        fail,
        end: () => {
          disobey?.();
          giveUp?.();
          resolve(atEnd);
        },
      });
      if (signal !== undefined) {
        disobey = onAbort(signal, (reason) => {
          this.cancel(take, reason);
        });
      }
      this.#listener.wanted();
    });
  }

  #atEnd<T>(value: T, { giveUp }: Wish): Promise<T> {
    const error = this.#error;
    this.#error = undefined;
    giveUp?.();
    if (error !== undefined) return Promise.reject(error);
    this.#listener.endTold();
    return Promise.resolve(value);
  }

  #answerAtEnd(request: Request): void {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) {
      request.fail(error);
      return;
    }
    request.end();
    this.#listener.endTold();
  }
}

function rejected(error: unknown): Promise<never> {
  const reason = error as Error;
  return Promise.reject(reason);
}
