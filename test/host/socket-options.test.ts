/** Options of Node's own sockets that reach the kernel. */
import { readFileSync } from 'node:fs';

import { connect, createServer } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { connectPlain, close, LOOPBACK, PlainServer } from '../support/peers.js';
import { bind } from '../support/transports.js';

// Column `tr` of /proc/net/tcp (net/ipv4/tcp_ipv4.c get_tcp4_sock): 2 is the keep-alive timer.
const KEEP_ALIVE_TIMER = '02';

/** The timer that runs for the socket with these ports. */
function timerOf(localPort: number, remotePort: number): string | undefined {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const [, local, remote, , , timer] = line.trim().split(/\s+/);
    if (local?.endsWith(`:${hex(localPort)}`) && remote?.endsWith(`:${hex(remotePort)}`)) {
      return timer?.split(':')[0];
    }
  }
  return undefined;
}

const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 };

it('connect() heeds keepAlive', async () => {
  await using bound = await bind('copy');
  await using server = await PlainServer.listen();
  const { port } = server;
  await using socket = await connect({
    binding: bound.binding,
    host: LOOPBACK,
    port,
    ...KEEP_ALIVE,
  });
  expect(timerOf(socket.localPort!, port)).toBe(KEEP_ALIVE_TIMER);
});

it('createServer() heeds keepAlive', async () => {
  await using bound = await bind('copy');
  await using server = createServer({ binding: bound.binding, ...KEEP_ALIVE });
  const connected = new Promise((resolve) => server.once('connection', resolve));
  const { port } = await server.listen({ host: LOOPBACK });
  const client = await connectPlain(port);
  await connected;
  expect(timerOf(port, client.localPort!)).toBe(KEEP_ALIVE_TIMER);
  await close(client);
});
