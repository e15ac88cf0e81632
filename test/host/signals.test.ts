/** Abort signals of bindRx(), sendFd() and receiveFd(), of this realm and of another. */
import { getEventListeners, once } from 'node:events';
import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { bindRx, DmaBuf, receiveFd, sendFd } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { encodeMessage, writeMessage } from '../../dist/ipc/message.js';
import { UnixSocket } from '../../dist/ipc/unix-socket.js';
import { bindByBroker } from '../../dist/nic/broker/client.js';
import { foreignController } from '../support/foreign.js';
import { expectNoLeaks } from '../support/leaks.js';
import { memfd } from '../support/memfd.js';
import { rejectionOf } from '../support/thrown.js';
import { Folder, unixPair } from '../support/unix.js';

interface Controller {
  signal: AbortSignal;
  readonly listeners: number;
  abort(): void;
}

function ownController(): Controller {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    get listeners() {
      return getEventListeners(controller.signal, 'abort').length;
    },
    abort: () => controller.abort(),
  };
}

const ABORTED = { name: 'AbortError' };
const BAD = { code: 'ERR_INVALID_ARG_TYPE' };
const NO_SIGNAL = { aborted: 'no' } as unknown as AbortSignal;

describe.each([
  ['this realm', ownController],
  ['another realm', foreignController],
])('a signal of %s', (_, makeController: () => Controller) => {
  expectNoLeaks();

  it('that was aborted before gives up binding, and leaves the memory free', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
    const controller = makeController();
    controller.abort();
    const { signal } = controller;
    expect(await rejectionOf(bindRx({ memory, signal }))).toMatchObject(ABORTED);
    expect(await rejectionOf(bindRx({ memory, mode: 'copy', signal }))).toMatchObject(ABORTED);
    expect(controller.listeners).toBe(0);
    await using binding = await bindRx({ memory, mode: 'copy', signal: makeController().signal });
    expect(binding.closed).toBe(false);
  });

  it('gives up waiting for a broker, while connecting and while it answers', async () => {
    using folder = new Folder();
    const place = folder.file('silent');
    const sockets: net.Socket[] = [];
    const silent = net.createServer((socket) => sockets.push(socket)).listen(place);
    await once(silent, 'listening');
    const file = memfd();
    const request = { interface: 'lo', queues: [1], size: 4096, rxPageSize: undefined };
    for (const connected of [false, true]) {
      const controller = makeController();
      const connection = once(silent, 'connection');
      const attempt = rejectionOf(bindByBroker(place, request, file.fd, controller.signal));
      if (connected) await connection;
      controller.abort();
      expect(await attempt).toMatchObject(ABORTED);
      await connection;
      expect(controller.listeners).toBe(0);
    }
    for (const socket of sockets) socket.destroy();
    file.close();
    silent.close();
    await once(silent, 'close');
  });

  it('that was aborted before neither sends nor receives', async () => {
    await using pair = await unixPair();
    await using memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
    const controller = makeController();
    controller.abort();
    const { signal } = controller;
    expect(await rejectionOf(sendFd(pair.client, memory, { signal }))).toMatchObject(ABORTED);
    pair.client.write('not a message');
    expect(await rejectionOf(receiveFd(pair.accepted, { signal }))).toMatchObject(ABORTED);
    expect(controller.listeners).toBe(0);
    // Nothing was taken.
    const data = once(pair.accepted, 'data');
    pair.accepted.resume();
    expect(String(await data)).toBe('not a message');
  });

  it('gives up waiting for a message, and the socket takes the next', async () => {
    await using pair = await unixPair();
    const controller = makeController();
    const { signal } = controller;
    const waiting = rejectionOf(receiveFd(pair.accepted, { signal }));
    await nextTurn();
    controller.abort();
    expect(await waiting).toMatchObject(ABORTED);
    expect(controller.listeners).toBe(0);
    const next = rejectionOf(receiveFd(pair.accepted));
    await UnixSocket.of(pair.client).write(encodeMessage({ type: 'fish' }), []);
    expect((await next).message).toContain('of type "fish"');
  });

  it('gives up waiting for its turn, without being overtaken by who came later', async () => {
    await using pair = await unixPair();
    const first = rejectionOf(receiveFd(pair.accepted));
    const controller = makeController();
    const { signal } = controller;
    const second = rejectionOf(receiveFd(pair.accepted, { signal }));
    const third = rejectionOf(receiveFd(pair.accepted));
    await nextTurn();
    controller.abort();
    expect(await second).toMatchObject(ABORTED);
    expect(controller.listeners).toBe(0);
    const client = UnixSocket.of(pair.client);
    for (const type of ['one', 'two']) await writeMessage(client, { type }, []);
    expect((await first).message).toContain('of type "one"');
    expect((await third).message).toContain('of type "two"');
  });

  it('gives up sending behind what a peer does not take, and into a full socket', async () => {
    await using pair = await unixPair();
    const file = memfd();
    const { client } = pair;
    for (const full of [false, true]) {
      // Beyond what the kernel buffers; the second time Node has nothing more to send.
      if (!full) client.write(Buffer.alloc(2 ** 22));
      const controller = makeController();
      const { signal } = controller;
      const content = { padding: 'x'.repeat(full ? 2 ** 22 : 1) };
      const target = full ? pair.accepted : client;
      const sent = rejectionOf(writeMessage(UnixSocket.of(target), content, [file.fd], { signal }));
      await nextTurn();
      controller.abort();
      expect(await sent).toMatchObject(ABORTED);
      expect(controller.listeners).toBe(0);
    }
    file.close();
  });
});

it('what is no signal is refused by each', async () => {
  await using pair = await unixPair();
  await using memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
  const options = { signal: NO_SIGNAL };
  for (const attempt of [
    () => bindRx({ memory, mode: 'copy', ...options }),
    () => sendFd(pair.client, memory, options),
    () => receiveFd(pair.accepted, options),
  ]) {
    const error = await rejectionOf(attempt());
    expect(error).toMatchObject(BAD);
    expect(error.message).toContain('"options.signal" argument must be an AbortSignal');
  }
});
