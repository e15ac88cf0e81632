/** Unix-domain sockets in a folder of their own. */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { close } from './peers.js';

/** A folder that everybody may enter, until the end of its block. */
export class Folder implements Disposable {
  readonly path = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-'));

  file(name: string): string {
    return path.join(this.path, name);
  }

  names(): string[] {
    return readdirSync(this.path).sort();
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Both ends of a connection; `accepted` was not read by Node. */
export interface UnixPair extends AsyncDisposable {
  client: net.Socket;
  accepted: net.Socket;
}

/** Connects a client that Node does not read either. */
export async function connectUnix(place: string): Promise<net.Socket> {
  const socket = new net.Socket();
  socket.pause();
  const connected = once(socket, 'connect');
  socket.connect(place);
  await connected;
  socket.on('error', () => {});
  return socket;
}

export async function unixPair(options: net.ServerOpts = { pauseOnConnect: true }) {
  const folder = new Folder();
  const server = net.createServer({ allowHalfOpen: true, ...options });
  server.listen(folder.file('socket'));
  await once(server, 'listening');
  const connection = once(server, 'connection') as Promise<[net.Socket]>;
  const client = await connectUnix(folder.file('socket'));
  const [accepted] = await connection;
  accepted.on('error', () => {});
  return {
    client,
    accepted,
    async [Symbol.asyncDispose]() {
      await close(client);
      await close(accepted);
      server.close();
      await once(server, 'close');
      folder[Symbol.dispose]();
    },
  } satisfies UnixPair;
}
