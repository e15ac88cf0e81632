/** What the programs of the documents take for granted. */
import { once } from 'node:events';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import {
  adopt,
  type Binding,
  bindRx,
  type ConnectionHandler,
  createServer,
  type DevmemServer,
  type DevmemSocket,
  DmaBuf,
  sendFd,
  type ServerOptions,
} from 'devmem-tcp';

const BYTES = 2 ** 20;
const HEAD = Buffer.from('which no NIC has written');

let inMemory = 0;
let linear = 0;

/** Uses device memory: somewhere, and how much, which comes last. */
export function consume(...where: [...place: unknown[], size: number]): void {
  inMemory += where.at(-1) as number;
}

export function consumeBytes(bytes: Uint8Array): void {
  linear += bytes.length;
}

/** @throws unless all that came over openSocket() was used as what it is */
export function expectAllConsumed(): void {
  if (inMemory === BYTES && linear === HEAD.length) return;
  throw new Error(`${inMemory} bytes in memory and ${linear} others were used`);
}

/** @throws unless so many bytes were used, wherever they were */
export function expectUsed(bytes: number): void {
  if (inMemory + linear !== bytes) throw new Error(`${inMemory} and ${linear} bytes were used`);
}

/** A binding that needs no NIC. */
export async function bindCopy(): Promise<Binding> {
  const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
  return bindRx({ memory, mode: 'copy' });
}

/** A connection with bytes of both kinds (or those given), and the stream's end. */
export async function openSocket(bytes?: Uint8Array): Promise<DevmemSocket> {
  const binding = await bindCopy();
  const listening = net.createServer({ pauseOnConnect: true }).listen(0);
  await once(listening, 'listening');
  const { port } = listening.address() as net.AddressInfo;
  const accepted = once(listening, 'connection') as Promise<[net.Socket]>;
  net.connect(port).end(bytes ?? Buffer.alloc(BYTES));
  const [socket] = await accepted;
  listening.close();
  return adopt(socket, bytes === undefined ? { binding, head: HEAD } : { binding });
}

export async function openServer(): Promise<{ server: DevmemServer; binding: Binding }> {
  const binding = await bindCopy();
  return { server: createServer({ binding }), binding };
}

/** As createServer(), of a server that gets one connection, as openSocket() has it, and closes. */
export function createBriefServer(
  options: ServerOptions,
  handler: ConnectionHandler,
): DevmemServer {
  const server = createServer(options);
  void openSocket()
    .then(handler)
    .then(() => server.close());
  return server;
}

/** Hands memory to the first connection of a server that nobody has started. */
export async function handMemoryTo(server: net.Server): Promise<void> {
  const place = path.join(tmpdir(), `devmem-tcp-${process.pid}`);
  server.listen(place);
  const client = new net.Socket();
  client.pause();
  await once(client.connect(place), 'connect');
  await using memory = await DmaBuf.allocate({ type: 'host', size: BYTES });
  await sendFd(client, memory);
  server.close();
}

/** Has a server hand a tensor to a consumer that is done with it. */
export async function consumeFrom(server: net.Server): Promise<void> {
  await once(server, 'listening');
  const client = net.connect(server.address() as string);
  const [announced] = (await once(client, 'data')) as [Buffer];
  const { id } = JSON.parse(announced.subarray(4).toString()) as { id: number };
  const done = Buffer.from(JSON.stringify({ type: 'done', id }));
  client.write(Buffer.concat([Buffer.from([0, 0, 0, done.length]), done]));
  await once(client, 'end');
}
