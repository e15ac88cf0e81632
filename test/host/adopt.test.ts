import { once } from 'node:events';
import net from 'node:net';

import { adopt, type DevmemSocket } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { close, LOOPBACK, PlainServer } from '../support/peers.js';
import { plainPair } from '../support/plain-pair.js';
import { bytesOf, readPattern, readText, send, Verifier } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;

async function readFrom(socket: DevmemSocket, peer: net.Socket, bytes: number): Promise<number> {
  const sent = send(peer, bytes).then(() => peer.end());
  const read = await readPattern(socket, 'fragments');
  await sent;
  return read;
}

describeOverTransports('adopt()', (transport) => {
  expectNoLeaks();

  it('takes over a client that was paused before it connected', async () => {
    await using bound = await bind(transport);
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    const client = new net.Socket();
    client.pause();
    client.connect(server.port, LOOPBACK);
    await once(client, 'connect');
    const peer = await accepted;
    const socket = adopt(client, { binding: bound.binding });
    expect(await readFrom(socket, peer, MiB)).toBe(MiB);
    await socket.close();
    await close(peer);
  });

  it('takes over a socket of a server with pauseOnConnect', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair({ pauseOnConnect: true });
    const socket = adopt(pair.socket, { binding: bound.binding });
    expect(await readFrom(socket, pair.peer, MiB)).toBe(MiB);
    expect(pair.socket.bytesRead).toBe(0);
  });

  it('hands out first what Node had read, as a linear fragment, and loses no byte', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair({});
    const readable = once(pair.socket, 'readable');
    const sent = send(pair.peer, MiB).then(() => pair.peer.end());
    await readable;
    const buffered = pair.socket.readableLength;
    expect(buffered).toBeGreaterThan(0);

    const socket = adopt(pair.socket, { binding: bound.binding });
    const verifier = new Verifier();
    const sizes: number[] = [];
    const kinds: string[] = [];
    for await (using fragment of socket) {
      verifier.look(bytesOf(fragment, bound.memory));
      sizes.push(fragment.size);
      kinds.push(fragment.kind);
    }
    await sent;
    expect(verifier.bytes).toBe(MiB);
    expect([sizes[0], kinds[0]]).toEqual([buffered, 'linear']);
  });

  it('begins the stream with a head that the caller has, before what Node had read', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair({});
    const readable = once(pair.socket, 'readable');
    pair.peer.write('two ');
    await readable;
    const socket = adopt(pair.socket, { binding: bound.binding, head: Buffer.from('one ') });
    pair.peer.end('three');
    expect(await readText(socket)).toBe('one two three');
  });

  it('begins with the stream where the head is empty', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair({ pauseOnConnect: true });
    const socket = adopt(pair.socket, { binding: bound.binding, head: Buffer.alloc(0) });
    pair.peer.end('all');
    const sizes: number[] = [];
    for await (using fragment of socket) sizes.push(fragment.size);
    expect(sizes).toEqual([3]);
  });

  it('takes over where libuv reads already, though nothing is buffered', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair({});
    const socket = adopt(pair.socket, { binding: bound.binding });
    expect(await readFrom(socket, pair.peer, MiB)).toBe(MiB);
    expect(pair.socket.bytesRead).toBe(0);
  });

  it('takes over a stream that ended before, with what Node had read of it', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair({ allowHalfOpen: true });
    const readable = once(pair.socket, 'readable');
    pair.peer.end('all there is');
    await readable;
    const socket = adopt(pair.socket, { binding: bound.binding });
    expect(await readText(socket)).toBe('all there is');
    await socket.close();
  });

  it('leaves the writing side as it was', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair({ pauseOnConnect: true, allowHalfOpen: true });
    pair.socket.write('early ');
    const socket = adopt(pair.socket, { binding: bound.binding });
    let answer = '';
    pair.peer.on('data', (piece) => (answer += String(piece)));
    const ended = once(pair.peer, 'end');
    socket.writable.end('late');
    await ended;
    expect(answer).toBe('early late');
    await socket.close();
  });
});
