/** The package's classes: told by `instanceof`, made by the package alone. */
import { once } from 'node:events';

import {
  Batch,
  Binding,
  Broker,
  createServer,
  DevmemServer,
  DevmemSocket,
  DmaBuf,
  startBroker,
} from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { connectPlain, close, LOOPBACK, openPair } from '../support/peers.js';
import { thrownBy } from '../support/thrown.js';
import { bind } from '../support/transports.js';
import { Folder } from '../support/unix.js';

type IsConstructible<T> = T extends abstract new (...options: never[]) => unknown ? true : false;

describe('instanceof tells', () => {
  expectNoLeaks();

  it('memory, its binding, a connection, and what comes on it', async () => {
    await using bound = await bind('copy');
    await using pair = await openPair(bound.binding);
    pair.peer.end('hello');
    expect(bound.memory).toBeInstanceOf(DmaBuf);
    expect(bound.binding).toBeInstanceOf(Binding);
    expect(pair.socket).toBeInstanceOf(DevmemSocket);
    for await (using batch of pair.socket.batches()) expect(batch).toBeInstanceOf(Batch);
  });

  it('a server, and its connections', async () => {
    await using bound = await bind('copy');
    await using server = createServer({ binding: bound.binding });
    expect(server).toBeInstanceOf(DevmemServer);
    const connected = once(server, 'connection');
    const { port } = await server.listen(0, LOOPBACK);
    const client = await connectPlain(port);
    const [socket] = (await connected) as [unknown];
    expect(socket).toBeInstanceOf(DevmemSocket);
    await close(client);
  });

  it('a broker', async () => {
    using folder = new Folder();
    const allow = [{ interface: 'lo' }];
    await using broker = await startBroker({ socket: folder.file('broker'), allow });
    expect(broker).toBeInstanceOf(Broker);
  });
});

describe('new', () => {
  it.for([
    [DmaBuf, 'DmaBuf', 'DmaBuf.allocate()'],
    [Binding, 'Binding', 'bindRx()'],
    [DevmemSocket, 'DevmemSocket', 'connect()'],
    [DevmemServer, 'DevmemServer', 'createServer()'],
    [Batch, 'Batch', 'socket.batches()'],
    [Broker, 'Broker', 'startBroker()'],
  ] as const)('does not make a %o: the error says what does', ([Class, name, instead]) => {
    // As JavaScript may call it, which knows of no private constructors.
    const make = Class as unknown as new (...options: unknown[]) => unknown;
    for (const options of [[], [{}], [{ binding: undefined }, () => {}]]) {
      const error = thrownBy(() => new make(...options));
      expect(error).toBeInstanceOf(TypeError);
      expect(error).toMatchObject({ code: 'ERR_ILLEGAL_CONSTRUCTOR' });
      expect(error.message).toMatch(new RegExp(`^Illegal constructor: a ${name} is made by `));
      expect(error.message).toContain(instead);
    }
  });

  it('is refused by TypeScript too', () => {
    const constructible: [
      IsConstructible<typeof DmaBuf>,
      IsConstructible<typeof Binding>,
      IsConstructible<typeof DevmemSocket>,
      IsConstructible<typeof DevmemServer>,
      IsConstructible<typeof Batch>,
      IsConstructible<typeof Broker>,
    ] = [false, false, false, false, false, false];
    expect(constructible).not.toContain(true);
  });
});
