// @ts-check
// `node receive-strangers.mjs SOCKET WHAT`: takes a descriptor whose close(2) waits, gets rid of
// it in the way that WHAT says, and prints 'alive' in a later turn of the event loop.
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { DmaBuf, receiveFd } from '../../../dist/index.js';

import { UnixSocket } from '../../../dist/ipc/unix-socket.js';

setFlagsFromString('--expose-gc');
const collectGarbage = /** @type {() => void} */ (runInNewContext('gc'));

const [path, what] = process.argv.slice(2);

/** @param {net.Socket} socket */
async function receive(socket) {
  return (await UnixSocket.of(socket).read(Buffer.alloc(1000))).fds;
}

/** @param {unknown} error */
const tell = (error) => console.log(/** @type {{ code: string }} */ (error).code);

/** @type {Record<string, (socket: net.Socket) => unknown>} */
const ways = {
  close: async (socket) => {
    for (const fd of await receive(socket)) fd.close();
  },
  collect: async (socket) => {
    await receive(socket);
    for (let turn = 0; turn < 20; turn++) {
      collectGarbage();
      await nextTurn();
    }
  },
  import: async (socket) => {
    const [fd] = await receive(socket);
    await DmaBuf.import({ fd: fd?.fd ?? -1 }).catch(tell);
    fd?.close();
  },
  receiveFd: (socket) => receiveFd(socket).catch(tell),
};

const server = net.createServer({ pauseOnConnect: true }).listen(path);
await once(server, 'listening');
console.log('listening');
const [socket] = /** @type {[net.Socket]} */ (await once(server, 'connection'));
await ways[String(what)]?.(socket);
await nextTurn();
console.log('alive');
server.close();
socket.destroy();
