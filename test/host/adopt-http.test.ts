/** Connections that begin as HTTP and go on as payload: 'upgrade' and CONNECT. */
import { once } from 'node:events';
import http from 'node:http';
import type net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { adopt, type TransportName } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { close, connectPlain, LOOPBACK } from '../support/peers.js';
import { readPattern, send } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;

const REQUESTS = {
  upgrade: 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: devmem\r\n\r\n',
  connect: 'CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n',
} as const;

/** An HTTP server, and the next connection that it hands over. */
class Gateway implements AsyncDisposable {
  readonly #server = http.createServer();

  async listen(): Promise<number> {
    this.#server.listen(0, LOOPBACK);
    await once(this.#server, 'listening');
    return (this.#server.address() as net.AddressInfo).port;
  }

  async handOver(event: keyof typeof REQUESTS): Promise<{ socket: net.Socket; head: Buffer }> {
    const [, socket, head] = (await once(this.#server, event)) as [unknown, net.Socket, Buffer];
    return { socket, head };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Sends payload right behind the request, so that some of it comes as `head`. */
async function expectWhole(
  transport: TransportName,
  event: keyof typeof REQUESTS,
  beforeAdoption: () => void | Promise<void>,
): Promise<void> {
  await using bound = await bind(transport);
  await using gateway = new Gateway();
  const peer = await connectPlain(await gateway.listen());
  const handedOver = gateway.handOver(event);
  peer.write(REQUESTS[event]);
  const sent = send(peer, MiB).then(() => peer.end());
  const { socket, head } = await handedOver;
  await beforeAdoption();
  const adopted = adopt(socket, { binding: bound.binding, head });
  expect(await readPattern(adopted, 'fragments')).toBe(MiB);
  await sent;
  await adopted.close();
  await close(peer);
}

describeOverTransports('adopt() of a connection handed over by http', (transport) => {
  describe.each(['upgrade', 'connect'] as const)("in '%s'", (event) => {
    expectNoLeaks();

    it('loses no byte of what follows the request, however it was cut', async () => {
      await expectWhole(transport, event, () => {});
    });

    it('loses no byte either when it is adopted later', async () => {
      await expectWhole(transport, event, async () => {
        for (let turn = 0; turn < 20; turn++) await nextTurn();
      });
    });
  });
});
