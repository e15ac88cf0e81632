/** adopt() that throws leaves all as it was: the socket, its bytes, the binding, the process. */
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type net from 'node:net';
import type { Readable } from 'node:stream';

import { adopt, type AdoptOptions, bindRx } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { Child } from '../support/child.js';
import { expectNoLeaks, resources } from '../support/leaks.js';
import { LOOPBACK } from '../support/peers.js';
import { plainPair } from '../support/plain-pair.js';
import { readText } from '../support/stream.js';
import { thrownBy } from '../support/thrown.js';
import { bind, type Bound, describeOverTransports } from '../support/transports.js';

const STATE = { name: 'DevmemError', code: 'ERR_DEVMEM_SOCKET_STATE' };

/** Options that cannot be, and how they are refused. */
const BAD_OPTIONS: [string, object, string][] = [
  ['a head that is text', { head: 'text' }, 'options.head'],
  ['a head that is no Uint8Array', { head: new Uint16Array(2) }, 'options.head'],
  ['a head that is null', { head: null }, 'options.head'],
  ['a signal that is none', { signal: {} }, 'options.signal'],
  ['a signal that is null', { signal: null }, 'options.signal'],
  ['a controller in place of its signal', { signal: new AbortController() }, 'options.signal'],
  ['a low-water mark of 0', { lowWaterMark: 0 }, 'options.lowWaterMark'],
  ['a low-water mark that is text', { lowWaterMark: '1' }, 'options.lowWaterMark'],
  ['a binding that is none', { binding: {} }, 'options.binding'],
];

/** The address at which a server of http or http2 listens. */
async function listen(server: net.Server): Promise<number> {
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

async function textOf(stream: Readable): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

/** Binds the memory anew, which nothing must use by then. */
async function expectUnused({ memory, binding }: Bound): Promise<void> {
  await binding.close();
  await using again = await bindRx({ memory, mode: 'copy' });
  expect(again.closed).toBe(false);
}

describeOverTransports('after adopt() refused', (transport) => {
  expectNoLeaks();

  it.for(BAD_OPTIONS)('%s, it adopts with better options', async ([, bad, name]) => {
    await using bound = await bind(transport);
    await using pair = await plainPair();
    const readable = once(pair.socket, 'readable');
    pair.peer.write('one ');
    await readable;
    const before = resources();
    const options = { binding: bound.binding, ...bad } as AdoptOptions;
    const error = thrownBy(() => adopt(pair.socket, options));
    expect(error).toMatchObject({
      code: expect.stringMatching(/^ERR_(INVALID_ARG|OUT_OF)/) as unknown,
    });
    expect(error.message).toContain(`"${name}"`);
    expect(resources()).toEqual(before);
    expect(pair.socket.readableLength).toBe(4);
    const socket = adopt(pair.socket, { binding: bound.binding });
    pair.peer.end('two');
    expect(await readText(socket)).toBe('one two');
    await socket.close();
    await expectUnused(bound);
  });

  it('a socket that decodes to text, its owner reads on, and nothing counts', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair();
    pair.socket.setEncoding('utf8');
    const readable = once(pair.socket, 'readable');
    // The second byte of 'é' is not there yet.
    pair.peer.write(Buffer.from('hé').subarray(0, 2));
    await readable;
    for (const attempt of [1, 2]) {
      const error = thrownBy(() => adopt(pair.socket, { binding: bound.binding }));
      expect(error, `attempt ${attempt}`).toMatchObject(STATE);
      expect(error.message).toContain("setEncoding('utf8')");
    }
    await expectUnused(bound);
    let text = '';
    const ended = once(pair.socket, 'end');
    pair.socket.on('data', (piece) => (text += String(piece)));
    pair.peer.end(Buffer.from('hé').subarray(2));
    await ended;
    expect(text).toBe('hé');
  });
});

describe('adopt() refuses, and leaves to its owner,', () => {
  expectNoLeaks();

  it('the socket of an http response, however far that was read', async () => {
    await using bound = await bind('copy');
    const refuse = (socket: net.Socket): void => {
      const error = thrownBy(() => adopt(socket, { binding: bound.binding }));
      expect(error).toMatchObject(STATE);
      expect(error.message).toContain("'upgrade'");
    };
    const server = http.createServer((request, response) => {
      refuse(request.socket);
      response.end('whole answer');
    });
    const agent = new http.Agent({ keepAlive: true });
    const request = http.get({ host: LOOPBACK, port: await listen(server), agent });
    // Within the event the parser is amid its work; then it has parsed all that came.
    request.once('response', ({ socket }) => refuse(socket));
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    const { socket } = response;
    refuse(socket);
    expect(await textOf(response)).toBe('whole answer');
    // It is the agent's, for the next request.
    refuse(socket);
    agent.destroy();
    server.close();
    await once(server, 'close');
    await expectUnused(bound);
  });

  it('the socket of an http2 session', async () => {
    await using bound = await bind('copy');
    const server = http2.createServer((_, response) => void response.end('whole answer'));
    const port = await listen(server);
    const session = http2.connect(`http://${LOOPBACK}:${port}`);
    await once(session, 'connect');
    expect(thrownBy(() => adopt(session.socket, { binding: bound.binding }))).toMatchObject({
      code: 'ERR_HTTP2_NO_SOCKET_MANIPULATION',
    });
    const stream = session.request({ ':path': '/' });
    expect(await textOf(stream)).toBe('whole answer');
    session.close();
    server.close();
    await once(server, 'close');
    await expectUnused(bound);
  });
});

it('adopt() that finds no descriptor left throws EMFILE, and adopts once there is one', async () => {
  const child = new Child('adopt-without-descriptors');
  expect(await child.outcome()).toEqual({
    status: 0,
    signal: null,
    stdout: 'EMFILE\nall of it\nmemory is free\n',
    stderr: '',
  });
});
