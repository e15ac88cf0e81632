/** Ways to come by a connection that Node reads already, and to adopt it amid that. */
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { LOOPBACK } from './peers.js';

/** What a manner is given to act with. */
export interface Scene {
  /** Numbers from 0 on and below the given one. */
  random(below: number): number;
  /** Bytes that came to the connection's first owner. */
  took(bytes: Uint8Array): void;
  /** To be called once, with bytes that the first owner has and gives back. */
  adopt(socket: net.Socket, head?: Uint8Array): void;
  readonly adopted: boolean;
}

/** Makes a connection of which one end will be adopted; returns the other, which writes. */
export type Manner = (scene: Scene) => Promise<net.Socket>;

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: devmem\r\n\r\n';

export const MANNERS: Readonly<Record<string, Manner>> = {
  'as it is accepted': (scene) => accepted((socket) => scene.adopt(socket)),

  "in the 'connect' event": (scene) =>
    connecting({}, (socket) => socket.once('connect', () => scene.adopt(socket))),

  "in the 'ready' event": (scene) =>
    connecting({}, (socket) => socket.once('ready', () => scene.adopt(socket))),

  'some turns of the event loop later, read by nobody': (scene) =>
    accepted((socket) => void adoptLater(socket, scene)),

  'some turns later, paused': (scene) =>
    accepted((socket) => {
      socket.pause();
      void adoptLater(socket, scene);
    }),

  "in a 'data' handler that keeps what it was given": (scene) =>
    accepted((socket) => {
      socket.once('data', (bytes) => {
        scene.took(bytes);
        scene.adopt(socket);
      });
    }),

  "in a 'data' handler that gives its bytes back": (scene) =>
    accepted((socket) => socket.once('data', (bytes) => scene.adopt(socket, bytes))),

  "in a 'data' handler that stays": (scene) =>
    accepted((socket) => {
      let more = scene.random(4);
      socket.on('data', (bytes) => {
        scene.took(bytes);
        if (!scene.adopted && more-- === 0) scene.adopt(socket);
      });
      socket.once('end', () => adoptOnce(socket, scene));
    }),

  "in a 'data' handler, with more in Node's buffer": (scene) =>
    accepted((socket) => {
      socket.pause();
      socket.on('data', (bytes) => {
        scene.took(bytes);
        if (!scene.adopted) scene.adopt(socket);
      });
      void someTurns(scene).then(() => socket.resume());
    }),

  "in a 'readable' handler that read some": (scene) =>
    accepted((socket) => {
      socket.on('readable', () => {
        for (let reads = 1 + scene.random(3); reads > 0; reads--) {
          const bytes = socket.read(1 + scene.random(3000)) as Buffer | null;
          if (bytes !== null) scene.took(bytes);
        }
        if (!scene.adopted && scene.random(2) === 0) scene.adopt(socket);
      });
      // Where the handler left much, there is no other 'readable'.
      socket.once('readable', () => {
        void someTurns(scene).then(() => adoptOnce(socket, scene));
      });
      socket.once('end', () => adoptOnce(socket, scene));
    }),

  'in a loop over its chunks': (scene) => accepted((socket) => void loop(socket, scene)),

  'while it is piped': (scene) =>
    accepted((socket) => {
      const sink = new Writable({
        write(bytes: Buffer, _encoding, done) {
          scene.took(bytes);
          setImmediate(done);
        },
      });
      socket.pipe(sink, { end: false });
      void adoptLater(socket, scene);
    }),

  'while it is paused and resumed': (scene) =>
    accepted((socket) => void pauseAndResume(socket, scene)),

  'in the callback of onread': (scene) => {
    let bytesLeft = 1 + scene.random(5000);
    const buffer = Buffer.alloc(1 + scene.random(5000));
    const callback = (length: number, bytes: Uint8Array): boolean => {
      scene.took(Buffer.from(bytes.subarray(0, length)));
      bytesLeft -= length;
      if (!scene.adopted && bytesLeft <= 0) scene.adopt(socket);
      return !scene.adopted || scene.random(2) === 0;
    };
    const onread = { buffer, callback };
    let socket!: net.Socket;
    return connecting({ onread } as net.SocketConstructorOpts, (made) => {
      socket = made;
      socket.once('end', () => adoptOnce(socket, scene));
    });
  },

  "in 'upgrade' of an http server": (scene) =>
    requesting(`GET / HTTP/1.1\r\nHost: x\r\n${UPGRADE}`, 'upgrade', scene),

  "in 'connect' of an http server": (scene) =>
    requesting('CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n', 'connect', scene),

  "in 'upgrade' of an http client": (scene) => {
    const headers = { connection: 'Upgrade', upgrade: 'devmem' };
    return answering({ headers }, `HTTP/1.1 101 Switching Protocols\r\n${UPGRADE}`, (request) =>
      request.once('upgrade', (_, socket, head) => scene.adopt(socket, head)),
    );
  },

  "in 'connect' of an http client": (scene) =>
    answering({ method: 'CONNECT', path: 'x:1' }, 'HTTP/1.1 200 OK\r\n\r\n', (request) =>
      request.once('connect', (_, socket, head) => scene.adopt(socket, head)),
    ),
};

async function someTurns(scene: Scene): Promise<void> {
  for (let turns = scene.random(8); turns > 0; turns--) await nextTurn();
}

async function adoptLater(socket: net.Socket, scene: Scene): Promise<void> {
  await someTurns(scene);
  scene.adopt(socket);
}

function adoptOnce(socket: net.Socket, scene: Scene): void {
  if (!scene.adopted) scene.adopt(socket);
}

async function loop(socket: net.Socket, scene: Scene): Promise<void> {
  let more = scene.random(4);
  // Leaving it or not must not matter.
  const leaves = scene.random(2) === 0;
  try {
    for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
      scene.took(bytes as Buffer);
      if (more-- > 0) continue;
      adoptOnce(socket, scene);
      if (leaves) return;
    }
    adoptOnce(socket, scene);
  } catch (error) {
    // What a loop that stays is told in the end.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
}

async function pauseAndResume(socket: net.Socket, scene: Scene): Promise<void> {
  socket.on('data', (bytes) => scene.took(bytes));
  for (let changes = scene.random(6); changes > 0; changes--) {
    if (scene.random(2) === 0) socket.pause();
    else socket.resume();
    if (scene.random(2) === 0) await nextTurn();
  }
  scene.adopt(socket);
  for (let changes = scene.random(3); changes > 0; changes--) {
    socket.resume();
    if (scene.random(2) === 0) socket.pause();
  }
}

/** The accepted end is the one to adopt. */
async function accepted(onConnection: (socket: net.Socket) => unknown): Promise<net.Socket> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => void onConnection(socket));
  const peer = net.connect(await listen(server), LOOPBACK);
  await once(peer, 'connect');
  server.close();
  return peer;
}

/** The connecting end is the one to adopt. */
async function connecting(
  options: net.SocketConstructorOpts,
  onMade: (socket: net.Socket) => unknown,
): Promise<net.Socket> {
  const server = net.createServer({ allowHalfOpen: true });
  const port = await listen(server);
  const connected = once(server, 'connection') as Promise<[net.Socket]>;
  const socket = new net.Socket({ ...options, allowHalfOpen: true });
  void onMade(socket);
  socket.connect(port, LOOPBACK);
  const [peer] = await connected;
  server.close();
  return peer;
}

async function requesting(
  request: string,
  event: 'upgrade' | 'connect',
  scene: Scene,
): Promise<net.Socket> {
  const server = http.createServer();
  server.once(event, (_: unknown, socket: net.Socket, head: Buffer) => {
    // Not before: that closes connections which have not made a request.
    server.close();
    scene.adopt(socket, head);
  });
  const peer = net.connect(await listen(server), LOOPBACK);
  await once(peer, 'connect');
  peer.write(request);
  return peer;
}

async function answering(
  options: http.RequestOptions,
  answer: string,
  onRequest: (request: http.ClientRequest) => unknown,
): Promise<net.Socket> {
  const server = net.createServer({ allowHalfOpen: true });
  const port = await listen(server);
  const connected = once(server, 'connection') as Promise<[net.Socket]>;
  const request = http.request({ host: LOOPBACK, port, agent: false, ...options });
  onRequest(request);
  request.end();
  const [peer] = await connected;
  server.close();
  await once(peer, 'data');
  peer.write(answer);
  return peer;
}

async function listen(server: net.Server): Promise<number> {
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}
