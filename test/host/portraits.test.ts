/** What console.log() shows of the package's objects. */
import { inspect } from 'node:util';

import { createServer, DmaBuf, startBroker } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { handMade } from '../support/columns.js';
import { LOOPBACK, openPair } from '../support/peers.js';
import { expectNoLeaks } from '../support/leaks.js';
import { bind } from '../support/transports.js';
import { Folder } from '../support/unix.js';

/** On one line, however long. */
const show = (value: unknown): string => inspect(value, { breakLength: Infinity });

const mixed = () => handMade({ offset: 4096, size: 1448, dmabufId: 3 }, { bytes: 'tail' });

describe('a fragment is shown', () => {
  it('with where it lies', () => {
    expect(show(mixed().batch.fragment(0))).toBe(
      "Fragment { kind: 'device', offset: 4096, size: 1448, dmabufId: 3, released: false }",
    );
  });

  it('with its bytes, where it is linear', () => {
    expect(show(mixed().batch.fragment(1))).toBe(
      "Fragment { kind: 'linear', size: 4, bytes: <Buffer 74 61 69 6c>, released: false }",
    );
  });

  it('as released, by itself or with its batch', () => {
    const { batch } = mixed();
    const [device, linear] = batch;
    device!.release();
    expect(show(device)).toBe('Fragment { released: true }');
    batch.release();
    expect(show(linear)).toBe('Fragment { released: true }');
  });
});

describe('a batch is shown', () => {
  it('with how much it has, and as released', () => {
    const { batch, lessor } = mixed();
    expect(show(batch)).toBe(
      'Batch { length: 2, byteLength: 1452, linearLength: 4, released: false }',
    );
    expect(lessor.ranges).toEqual([]);
    batch.release();
    expect(show(batch)).toBe('Batch { length: 2, released: true }');
  });

  it('in part released', () => {
    const { batch } = mixed();
    batch.fragment(0).release();
    expect(show(batch)).toContain('length: 2');
  });

  it('as runs, which are plain', () => {
    const { batch } = handMade({ offset: 0, size: 10 }, { offset: 10, size: 5 });
    expect(show(batch.runs())).toBe('[ { offset: 0, size: 15, dmabufId: 7, bytes: undefined } ]');
  });
});

describe('memory and bindings are shown', () => {
  expectNoLeaks();

  it('open and closed', async () => {
    const bound = await bind('copy', { size: 2 ** 20, heldLimit: 2 ** 19 });
    const { memory, binding } = bound;
    const { fd } = memory;
    const shown = `DmaBuf { type: 'host', size: 1048576, fd: ${fd}, closed: false }`;
    expect(show(memory)).toBe(shown);
    const held = 'heldBytes: 0, heldLimit: 524288';
    expect(show(binding)).toBe(
      `Binding { transport: 'copy', id: ${binding.id}, queues: [], memory: ${shown}, ${held}, closed: false }`,
    );
    await bound[Symbol.asyncDispose]();
    expect(show(memory)).toBe("DmaBuf { type: 'host', size: 1048576, closed: true }");
    expect(show(binding)).toMatch(/^Binding \{.* closed: true \}$/);
  });
});

describe('connections and servers are shown', () => {
  expectNoLeaks();

  it('a socket with its ends, what it holds and why it failed', async () => {
    await using bound = await bind('copy');
    await using pair = await openPair(bound.binding);
    const { socket, peer } = pair;
    const { localPort, remotePort } = socket;
    expect(show(socket)).toBe(
      `DevmemSocket { transport: 'copy', localAddress: '127.0.0.1', localPort: ${localPort}, ` +
        `remoteAddress: '127.0.0.1', remotePort: ${remotePort}, heldFragments: 0, closed: false }`,
    );
    peer.write('x');
    const { value: held } = await socket.batches().next();
    expect(show(socket)).toContain('heldFragments: 1,');
    socket.destroy(new Error('enough of it'));
    await socket.close();
    expect(show(socket)).toMatch(/closed: true, error: 'enough of it' \}$/);
    held!.release();
    expect(show(socket)).toContain('heldFragments: 0,');
  });

  it('a server with where it listens, and closed', async () => {
    await using bound = await bind('copy');
    const server = createServer({ binding: bound.binding });
    expect(show(server)).toMatch(
      /^DevmemServer \{ listening: false, address: null, connections: 0/,
    );
    const { port } = await server.listen(0, LOOPBACK);
    expect(show(server)).toContain(`listening: true, address: { address: '127.0.0.1',`);
    expect(show(server)).toContain(`port: ${port} }, connections: 0 }`);
    await server.close();
    expect(show(server)).toContain('listening: false, address: null');
  });

  it('a broker with its socket and its clients', async () => {
    using folder = new Folder();
    const socket = folder.file('broker');
    const broker = await startBroker({ socket, allow: [{ interface: 'lo' }] });
    expect(show(broker)).toBe(`Broker { socket: '${socket}', clients: 0, closed: false }`);
    await broker.close();
    expect(show(broker)).toBe(`Broker { socket: '${socket}', clients: 0, closed: true }`);
  });
});

describe('looking at an object', () => {
  expectNoLeaks();

  it('goes as deep as it was asked to', async () => {
    await using bound = await bind('copy');
    expect(inspect(bound.memory, { depth: -1 })).toBe('[DmaBuf]');
    expect(inspect(bound, { depth: 0 })).toContain('memory: [DmaBuf]');
    expect(inspect(bound.binding, { depth: 0 })).toContain('memory: [DmaBuf]');
    const deep = [[[{ memory: bound.memory }]]];
    expect(inspect(deep)).toBe('[ [ [ [Object] ] ] ]');
    expect(inspect(deep, { depth: null })).toContain("DmaBuf { type: 'host'");
  });

  it('indents and colours as Node does', async () => {
    await using bound = await bind('copy');
    expect(inspect({ of: bound.binding }, { breakLength: 60 })).toMatch(
      /^\{\n {2}of: Binding \{\n {4}tr/,
    );
    expect(inspect(bound.memory, { colors: true })).toContain("\u001b[32m'host'\u001b[39m");
  });

  it('never throws: of a proxy, and of what only inherits', async () => {
    await using bound = await bind('copy');
    await using pair = await openPair(bound.binding);
    const { batch } = mixed();
    const objects = [bound.memory, bound.binding, pair.socket, batch, batch.fragment(0)];
    for (const each of [...objects, createServer({ binding: bound.binding })]) {
      const prototype = Object.getPrototypeOf(each) as object;
      expect(inspect(new Proxy(each, {}))).toContain('{');
      expect(inspect(Object.create(prototype))).toContain('{');
      expect(inspect(prototype)).toContain('{');
    }
    expect(inspect(DmaBuf)).toBe('[class DmaBuf]');
  });
});
