/** handOff(): what is refused, what a consumer may say, and in what order. */
import { getEventListeners } from 'node:events';
import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { DmaBuf, handOff, type HandOffOptions, receiveFd, sendFd } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { encodeMessage, readMessage } from '../../dist/ipc/message.js';
import { UnixSocket } from '../../dist/ipc/unix-socket.js';
import type { OwnedFd } from '../../dist/native.js';
import { expectNoLeaks } from '../support/leaks.js';
import { generator } from '../support/random.js';
import { rejectionOf } from '../support/thrown.js';
import { unixPair, type UnixPair } from '../support/unix.js';

const SIZE = 256 * 1024;
const BAD = { name: 'DevmemError', code: 'ERR_DEVMEM_BAD_MESSAGE' };
const STATE = { name: 'DevmemError', code: 'ERR_DEVMEM_SOCKET_STATE' };

const allocate = (): Promise<DmaBuf> => DmaBuf.allocate({ type: 'host', size: SIZE });

/** A consumer in this process, that reads and says what a test has it say. */
class Consumer {
  readonly #unix: UnixSocket;

  constructor({ client }: UnixPair) {
    this.#unix = UnixSocket.of(client);
    this.#unix.takeOver();
  }

  /** What is announced next; its descriptors are closed. */
  async hears(): Promise<Record<string, unknown> & { id: number }> {
    const fds: OwnedFd[] = [];
    const content = await readMessage(this.#unix, fds, { maxBytes: 4096, maxFds: 1 });
    for (const fd of fds) fd.close();
    return content as Record<string, unknown> & { id: number };
  }

  says(content: Record<string, unknown>, fds: readonly number[] = []): Promise<void> {
    return this.#unix.write(encodeMessage(content), fds);
  }

  done(id: number): Promise<void> {
    return this.says({ type: 'done', id });
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#unix.write(bytes, []);
  }
}

describe('what a consumer says', () => {
  expectNoLeaks();

  const wrong: Record<string, readonly [content: Record<string, unknown>, words: string]> = {
    'is of another type': [{ type: 'fish', id: 1 }, 'is of type "fish", not "done"'],
    'has no number': [{ type: 'done' }, 'acknowledges the hand-off undefined'],
    'has a number that was not given': [{ type: 'done', id: 2 }, 'acknowledges the hand-off 2'],
    'has no number but text': [{ type: 'done', id: '1' }, 'acknowledges the hand-off "1"'],
    'is too long': [{ type: 'x'.repeat(5000) }, '4096 are the most'],
  };

  for (const [what, [content, words]] of Object.entries(wrong)) {
    it(`ends all hand-offs of the socket where it ${what}`, async () => {
      await using pair = await unixPair();
      await using memory = await allocate();
      const consumer = new Consumer(pair);
      const waiting = [1, 2].map(() => rejectionOf(handOff(pair.accepted, memory)));
      // Number 2 is not given yet when the first is refused.
      await consumer.hears();
      if (content.id === 2) {
        await consumer.hears();
        await consumer.done(2);
      }
      await consumer.says(content);
      const errors = await Promise.allSettled(waiting);
      const first = errors[0] as PromiseFulfilledResult<Error>;
      expect(first.value).toMatchObject(BAD);
      expect(first.value.message).toContain(words);
      if (content.id !== 2) expect(await waiting[1]).toMatchObject(BAD);
      expect(await rejectionOf(handOff(pair.accepted, memory))).toMatchObject(BAD);
    });
  }

  it('brings no descriptors', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const consumer = new Consumer(pair);
    const waiting = rejectionOf(handOff(pair.accepted, memory));
    const { id } = await consumer.hears();
    await consumer.says({ type: 'done', id }, [memory.fd]);
    const error = await waiting;
    expect(error).toMatchObject(BAD);
    expect(error.message).toContain('more than 0 descriptor(s)');
  });

  it('is taken byte by byte as well', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const consumer = new Consumer(pair);
    const waiting = handOff(pair.accepted, memory);
    const { id } = await consumer.hears();
    for (const byte of encodeMessage({ type: 'done', id })) {
      await consumer.write(Uint8Array.of(byte));
      await nextTurn();
    }
    await waiting;
  });
});

describe('a hand-off', () => {
  expectNoLeaks();

  it.for([
    [{ memory: {} }, 'ERR_INVALID_ARG_TYPE'],
    [{ socket: {} }, 'ERR_INVALID_ARG_TYPE'],
    [{ options: 3 }, 'ERR_INVALID_ARG_TYPE'],
    [{ options: { signal: {} } }, 'ERR_INVALID_ARG_TYPE'],
    [{ options: { shape: [SIZE + 1] } }, 'ERR_OUT_OF_RANGE'],
  ] as const)('is refused with %o', async ([wrong, code]) => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const given = { socket: pair.accepted, memory, options: {}, ...wrong } as {
      socket: net.Socket;
      memory: DmaBuf;
      options: HandOffOptions;
    };
    const error = await rejectionOf(handOff(given.socket, given.memory, given.options));
    expect(error).toMatchObject({ code });
  });

  it('of memory that was closed is refused, and nothing is sent', async () => {
    await using pair = await unixPair();
    const [closed, memory] = [await allocate(), await allocate()];
    await closed.close();
    expect(await rejectionOf(handOff(pair.accepted, closed))).toMatchObject({
      code: 'ERR_DEVMEM_CLOSED',
    });
    const consumer = new Consumer(pair);
    const waiting = handOff(pair.accepted, memory);
    await consumer.done((await consumer.hears()).id);
    await waiting;
    await memory.close();
  });

  it('is refused at a socket that was read by Node, or is none of Unix', async () => {
    await using memory = await allocate();
    await using pair = await unixPair({ pauseOnConnect: false });
    const readable = new Promise((resolve) => pair.accepted.once('readable', resolve));
    pair.client.write('x');
    await readable;
    expect(await rejectionOf(handOff(pair.accepted, memory))).toMatchObject(STATE);
    expect(await rejectionOf(handOff(new net.Socket(), memory))).toMatchObject(STATE);
  });

  it('ends with its signal, before it is sent and after', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const consumer = new Consumer(pair);
    const reason = new Error('enough');
    const aborted = AbortSignal.abort(reason);
    expect(await rejectionOf(handOff(pair.accepted, memory, { signal: aborted }))).toBe(reason);
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = rejectionOf(handOff(pair.accepted, memory, { signal }));
    const first = await consumer.hears();
    controller.abort(reason);
    expect(await waiting).toBe(reason);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    // The consumer may yet be done with it, which is not for the next one.
    const next = handOff(pair.accepted, memory);
    const second = await consumer.hears();
    expect(second.id).not.toBe(first.id);
    await consumer.done(first.id);
    await consumer.done(second.id);
    await next;
  });

  it('ends with its signal while others are being sent, which go on', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const consumer = new Consumer(pair);
    // Until the socket takes no more.
    const sent = Array.from({ length: 1000 }, () => handOff(pair.accepted, memory));
    const controller = new AbortController();
    const waiting = rejectionOf(handOff(pair.accepted, memory, controller));
    const last = handOff(pair.accepted, memory);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await waiting).toBe(reason);
    for (let i = 0; i <= sent.length; i++) await consumer.done((await consumer.hears()).id);
    await Promise.all([...sent, last]);
  });

  it('that was aborted leaves the rest of what is being said to the next', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const consumer = new Consumer(pair);
    const controller = new AbortController();
    const waiting = rejectionOf(handOff(pair.accepted, memory, controller));
    const { id } = await consumer.hears();
    const bytes = encodeMessage({ type: 'done', id });
    await consumer.write(bytes.subarray(0, 9));
    await nextTurn();
    controller.abort(new Error('enough'));
    await waiting;
    const next = handOff(pair.accepted, memory);
    const second = await consumer.hears();
    await consumer.write(bytes.subarray(9));
    await consumer.done(second.id);
    await next;
  });

  it('ends where its socket is closed here', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const consumer = new Consumer(pair);
    const waiting = rejectionOf(handOff(pair.accepted, memory));
    await consumer.hears();
    pair.accepted.destroy();
    expect(await waiting).toMatchObject(STATE);
  });

  it('goes together with memory that is sent over the same socket, both ways', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const sent = sendFd(pair.accepted, memory);
    const waiting = handOff(pair.accepted, memory);
    await using received = await receiveFd(pair.client);
    expect(received.size).toBe(SIZE);
    await sent;
    const consumer = new Consumer(pair);
    await consumer.done((await consumer.hears()).id);
    await waiting;
    const back = receiveFd(pair.accepted);
    await sendFd(pair.client, received);
    await (await back).close();
  });

  it('resolves for each consumer that is done with it, in whatever order and with aborts', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      await using pair = await unixPair();
      await using memory = await allocate();
      const consumer = new Consumer(pair);
      const random = generator(seed);
      const live = new Map<number, { outcome: Promise<unknown>; controller: AbortController }>();
      const owed: number[] = [];
      for (let step = 0; step < 40; step++) {
        const ids = [...live.keys()];
        const which = random(4);
        if (which < 2 || owed.length === 0) {
          const controller = new AbortController();
          const { signal } = controller;
          const outcome = handOff(pair.accepted, memory, { length: 4096, signal }).then(
            () => 'done',
            (error: unknown) => error,
          );
          const { id } = await consumer.hears();
          live.set(id, { outcome, controller });
          owed.push(id);
        } else if (which === 2 || ids.length === 0) {
          const [id] = owed.splice(random(owed.length), 1);
          await consumer.done(id!);
          const { outcome } = live.get(id!) ?? {};
          if (outcome !== undefined)
            expect(await outcome, `seed ${seed}, step ${step}`).toBe('done');
          live.delete(id!);
        } else {
          const id = ids[random(ids.length)]!;
          const { outcome, controller } = live.get(id)!;
          const reason = new Error('enough');
          controller.abort(reason);
          expect(await outcome, `seed ${seed}, step ${step}`).toBe(reason);
          live.delete(id);
        }
      }
      for (const id of owed) await consumer.done(id);
      for (const { outcome } of live.values()) expect(await outcome, `seed ${seed}`).toBe('done');
    }
  });
});
