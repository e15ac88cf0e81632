/**
 * Messages over a Unix-domain socket: 4 bytes with the length of what follows, in
 * network byte order; that many bytes of JSON (an object, in UTF-8); and descriptors,
 * sent along with the first byte.
 *
 * Exactly the message is read and no byte more, so the descriptors that come are its
 * own, and what follows on the connection is left to others.
 */
import { DevmemError } from '../errors.js';
import type { OwnedFd } from '../native.js';
import type { ReadyOptions } from './ready.js';
import type { UnixSocket } from './unix-socket.js';

const HEADER = 4;

/** What a message says. */
export type Content = Readonly<Record<string, unknown>>;

export interface MessageLimits {
  /** Longest JSON accepted, in bytes. */
  maxBytes: number;
  /** Most descriptors accepted. */
  maxFds: number;
}

export interface ReadMessageOptions extends ReadyOptions, MessageLimits {}

/**
 * Reads one message.
 *
 * @param fds - gets the descriptors that come, also those of a message that is refused:
 *   the caller's to close, by `closeStrangers()`
 * @returns undefined where the stream ended before it began
 * @throws DevmemError ERR_DEVMEM_BAD_MESSAGE
 */
export function readMessage(
  socket: UnixSocket,
  fds: OwnedFd[],
  options: ReadMessageOptions,
): Promise<Content | undefined> {
  return new MessageReader(socket, options).read(fds, options);
}

/** Reads one message after the other. */
export class MessageReader {
  readonly #socket: UnixSocket;
  readonly #limits: MessageLimits;
  // What is being read, and how much of it was: a read that is aborted leaves it to the next.
  #target = Buffer.alloc(HEADER);
  #at = 0;
  #isBody = false;

  constructor(socket: UnixSocket, limits: MessageLimits) {
    this.#socket = socket;
    this.#limits = limits;
  }

  /** As `readMessage()`. Aborted, it has lost nothing: the next one reads on. */
  async read(fds: OwnedFd[], options: ReadyOptions = {}): Promise<Content | undefined> {
    for (;;) {
      while (this.#at < this.#target.length) {
        const bytes = await this.#receive(fds, options);
        if (bytes === 0 && this.#at === 0 && !this.#isBody) return undefined;
        if (bytes === 0) throw badMessage('ended before it was complete');
        this.#at += bytes;
      }
      const read = this.#target;
      this.#at = 0;
      this.#isBody = !this.#isBody;
      this.#target = Buffer.alloc(this.#isBody ? this.#bodySize(read) : HEADER);
      if (!this.#isBody) return parse(read);
    }
  }

  async #receive(fds: OwnedFd[], options: ReadyOptions): Promise<number> {
    const { maxFds } = this.#limits;
    const received = await this.#socket.read(this.#target.subarray(this.#at), options);
    fds.push(...received.fds);
    if (fds.length > maxFds) throw badMessage(`carries more than ${maxFds} descriptor(s)`);
    if (received.truncated) {
      throw badMessage('carries descriptors for which this process has no room: see ulimit -n');
    }
    return received.bytes;
  }

  #bodySize(header: Buffer): number {
    const size = header.readUInt32BE(0);
    const { maxBytes } = this.#limits;
    if (size > maxBytes) throw badMessage(`announces ${size} bytes, and ${maxBytes} are the most`);
    return size;
  }
}

/** Writes one message. */
export async function writeMessage(
  socket: UnixSocket,
  content: Content,
  fds: readonly number[],
  options: ReadyOptions = {},
): Promise<void> {
  await socket.write(encodeMessage(content), fds, options);
}

/** A message's bytes. */
export function encodeMessage(content: Content): Buffer {
  const json = Buffer.from(JSON.stringify(content));
  const header = Buffer.alloc(HEADER);
  header.writeUInt32BE(json.length, 0);
  return Buffer.concat([header, json]);
}

/** What a message that makes no sense throws. */
export function badMessage(what: string, cause?: unknown): DevmemError {
  return new DevmemError('ERR_DEVMEM_BAD_MESSAGE', `The message ${what}`, { cause });
}

/**
 * A value of a message, for an error. Objects are not written out: JSON that nests deeply
 * can be read, but not written.
 */
export function show(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? '[…]' : '{…}';
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : String(value);
}

function parse(json: Buffer): Content {
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch {
    throw badMessage(`is not JSON in UTF-8 (${json.length} bytes)`);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw badMessage('is JSON, but not an object');
  }
  return content as Content;
}
