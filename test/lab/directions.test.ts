/** The ends of both directions, on the devmem path: FIN with data queued, half-close, no bytes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { createServer, type DevmemSocket } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { bindForEachTest } from './support/bound.js';
import { ADDRESS } from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { endReceived } from './support/receive-buffers.js';
import { patternReader, startSender } from './support/transfer.js';

const ASKER = fileURLToPath(new URL('support/asker.mjs', import.meta.url));

const bound = bindForEachTest([1]);

/** Serves one connection, and has the peer run what makes it. */
async function serve<T>(
  handler: (socket: DevmemSocket) => Promise<T>,
  connect: (port: number) => Promise<unknown>,
): Promise<T> {
  let outcome: Promise<T> | undefined;
  await using server = createServer(
    { binding: bound.binding, allowHalfOpen: true },
    async (socket) => {
      outcome = handler(socket);
      await outcome;
    },
  );
  const { port } = await server.listen({ host: ADDRESS.IPv4 });
  await connect(port);
  if (outcome === undefined) throw new Error('the peer never connected');
  return await outcome;
}

const sent = (bytes: number) => (port: number) =>
  once(startSender(ADDRESS.IPv4, port, bytes), 'exit');

// Which `devmem-tcp send` would not do.
const nothing = (port: number): Promise<unknown> => {
  const program = `require('net').connect(${port}, '${ADDRESS.IPv4}').resume().end()`;
  return once(spawn('peer', [process.execPath, '-e', program], { stdio: 'ignore' }), 'exit');
};

it('all data comes before the end, though both were there before anybody read', async () => {
  // What fits in a receive buffer that nobody reads from.
  const bytes = 32 * 1024;
  const received = await serve(async (socket) => {
    await endReceived(socket.remotePort!);
    return patternReader(socket);
  }, sent(bytes));
  expect(received).toMatchObject({ bytes, firstWrong: -1 });
  expect(received.stats.deviceBytes).toBe(bytes);
  expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
});

it('a stream of no bytes ends at once', async () => {
  const received = await serve((socket) => patternReader(socket), nothing);
  expect(received).toMatchObject({ bytes: 0, firstWrong: -1 });
  expect(received.stats).toMatchObject({ fragments: 0, tokensTaken: 0 });
});

it('empty writes at the peer are no data, and one byte is', async () => {
  const question = ['', 'a', '', 'bc', ''];
  const { heard, reply } = await ask(question);
  expect(heard).toBe('abc');
  expect(reply).toBe('3 bytes');
});

it('the other direction stays open after the end of the stream, with allowHalfOpen', async () => {
  const question = Array.from({ length: 16 }, () => 'x'.repeat(4096));
  const { heard, reply } = await ask(question);
  expect(heard).toBe(question.join(''));
  expect(reply).toBe(`${16 * 4096} bytes`);
  expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
});

/** The peer writes all pieces, one by one, ends its direction and waits for the reply. */
async function ask(pieces: string[]): Promise<{ heard: string; reply: string }> {
  let reply = '';
  const heard = await serve(
    async (socket) => {
      let all = '';
      for await (using fragment of socket) {
        const { bytes = fragment.memory?.read(fragment.offset, fragment.size) } = fragment;
        all += Buffer.from(bytes!).toString();
      }
      socket.writable.end(`${all.length} bytes`);
      await once(socket.writable, 'finish');
      return all;
    },
    async (port) => {
      const args = [process.execPath, ASKER, ADDRESS.IPv4, String(port), JSON.stringify(pieces)];
      const asker = spawn('peer', args, { stdio: ['ignore', 'pipe', 'inherit'] });
      reply = await text(asker.stdout);
    },
  );
  return { heard, reply };
}
