/** What a consumer said of what it was handed: one for each socket. */
import { onAbort } from '../abort.js';
import { DevmemError, isSystemError } from '../errors.js';
import { badMessage, type Content, MessageReader, show, writeMessage } from '../ipc/message.js';
import { closeStrangers } from '../ipc/strangers.js';
import { inReceivingTurn } from '../ipc/turns.js';
import type { UnixSocket } from '../ipc/unix-socket.js';
import type { OwnedFd } from '../native.js';

const LIMITS = { maxBytes: 4096, maxFds: 0 };

/** What is announced to a consumer. */
export interface Announcement {
  content: Content;
  fds: readonly number[];
}

interface Waiting {
  resolve: () => void;
  reject: (error: Error) => void;
}

/**
 * Numbers what is handed on, and waits for each number to come back. The numbers are what
 * keeps an acknowledgement that comes twice from being taken for that of another hand-off.
 */
export class Acknowledgements {
  static readonly #known = new WeakMap<UnixSocket, Acknowledgements>();

  readonly #unix: UnixSocket;
  readonly #reader: MessageReader;
  readonly #waiting = new Map<number, Waiting>();
  // Nobody waits for these any more, and the consumer may yet send them.
  readonly #abandoned = new Set<number>();
  #lastId = 0;
  #reading: AbortController | undefined;
  // Why nothing more can be handed on.
  #failure: Error | undefined;

  /** The socket's. */
  static of(unix: UnixSocket): Acknowledgements {
    let known = Acknowledgements.#known.get(unix);
    if (known === undefined) {
      known = new Acknowledgements(unix);
      Acknowledgements.#known.set(unix, known);
    }
    return known;
  }

  private constructor(unix: UnixSocket) {
    this.#unix = unix;
    this.#reader = new MessageReader(unix, LIMITS);
  }

  /**
   * Sends what is announced, with a number of its own.
   *
   * @returns resolves once it is sent, with a promise of its acknowledgement
   */
  async announce(
    { content, fds }: Announcement,
    signal: AbortSignal | undefined,
  ): Promise<{ acknowledged: Promise<void> }> {
    if (this.#failure !== undefined) throw this.#failure;
    const id = ++this.#lastId;
    // Before it is sent: others may be waited for, and what comes for this one be read.
    const acknowledged = this.#acknowledgement(id, signal);
    acknowledged.catch(() => {});
    try {
      await writeMessage(this.#unix, { ...content, id }, fds, { signal });
    } catch (error) {
      this.#drop(id);
      this.#giveBack();
      throw isGone(error) ? consumerLost(error) : error;
    }
    this.#read();
    return { acknowledged };
  }

  async #acknowledgement(id: number, signal: AbortSignal | undefined): Promise<void> {
    let forget = (): void => {};
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        forget = onAbort(signal, (reason) => {
          this.#abandoned.add(id);
          this.#drop(id);
          reject(reason);
        });
      });
    } finally {
      forget();
    }
  }

  /** Waits for it no more, and reads no more where it was the last. */
  #drop(id: number): void {
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#reading?.abort();
  }

  /** Reads as long as anybody waits. */
  #read(): void {
    if (this.#reading !== undefined || this.#waiting.size === 0) return;
    const reading = new AbortController();
    this.#reading = reading;
    void inReceivingTurn(this.#unix.socket, reading, async () => {
      while (this.#waiting.size > 0) this.#take(await this.#next(reading.signal));
    })
      .catch((error: unknown) => {
        if (error !== reading.signal.reason) this.#fail(error as Error);
      })
      .then(() => {
        this.#reading = undefined;
        // For those that came after an abort.
        this.#read();
        this.#giveBack();
      });
  }

  /** Lets Node read on where nobody waits. */
  #giveBack(): void {
    if (this.#reading === undefined && this.#waiting.size === 0) this.#unix.giveBack();
  }

  async #next(signal: AbortSignal): Promise<Content> {
    const fds: OwnedFd[] = [];
    try {
      const content = await this.#reader.read(fds, { signal });
      if (content === undefined) throw consumerLost();
      return content;
    } catch (error) {
      throw isGone(error) ? consumerLost(error) : error;
    } finally {
      void closeStrangers(fds);
    }
  }

  #take({ type, id }: Content): void {
    if (type !== 'done') throw badMessage(`is of type ${show(type)}, not "done"`);
    const waiting = this.#waiting.get(id as number);
    const known = this.#waiting.delete(id as number) || this.#abandoned.delete(id as number);
    if (!known) {
      throw badMessage(
        `acknowledges the hand-off ${show(id)}, and there is none of that number that was not acknowledged before`,
      );
    }
    waiting?.resolve();
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** Whether the other end of a socket was closed. */
function isGone(error: unknown): boolean {
  return isSystemError(error) && ['EPIPE', 'ECONNRESET'].includes(error.code);
}

function consumerLost(cause?: unknown): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_CONSUMER_LOST',
    'The process at the other end closed the socket, or ended, before it acknowledged what it was handed. One that has ended uses the memory no more; see what became of it, and hand the data on to another',
    { cause },
  );
}
