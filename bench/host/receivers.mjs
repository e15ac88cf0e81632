// @ts-check
/** The ways of receiving in Node.js: this package's, and those of net.Socket. */
import { once } from 'node:events';
import net from 'node:net';

import { bindRx, connect, DmaBuf } from 'devmem-tcp';
import { request } from '../peer/source.mjs';

const MiB = 2 ** 20;

/** What the copy transport reads in one call at most, and so what onread and C read into. */
export const BUFFER = 2 * MiB;

/** Of a connection alone. */
const ONREAD_BUFFER = MiB / 8;

/**
 * @typedef {object} Receiver
 * @property {(bytes: number) => Promise<number>} receive over a connection; resolves with what came
 * @property {() => Promise<void>} close
 */

/** What contiguous memory is made of, filled over and over. */
export const TARGET = 256 * MiB;

/** @type {Record<string, (host: string, port: number) => Promise<Receiver>>} */
export const RECEIVERS = {
  batches: (host, port) =>
    copying(host, port, async (socket) => {
      let total = 0;
      for await (const batch of socket.batches()) {
        batch.forEach((_, size) => {
          total += size;
        });
        batch.release();
      }
      return total;
    }),

  fragments: (host, port) =>
    copying(host, port, async (socket) => {
      let total = 0;
      for await (const fragment of socket) {
        total += fragment.size;
        fragment.release();
      }
      return total;
    }),

  netData: (host, port) =>
    plain(host, port, async (socket) => {
      let total = 0;
      socket.on('data', (chunk) => {
        total += chunk.length;
      });
      await once(socket, 'end');
      return total;
    }),

  netIteration: (host, port) =>
    plain(host, port, async (socket) => {
      let total = 0;
      const chunks = /** @type {AsyncIterable<Buffer>} */ (socket);
      for await (const chunk of chunks) total += chunk.length;
      return total;
    }),

  // As servers have it: what a connection's bytes are put together in is its own.
  netOnread: (host, port) => onread(host, port, () => Buffer.alloc(ONREAD_BUFFER)),

  // At its best: one large buffer for all connections, which stays in the cache, and can be
  // used by those alone whose callback is done with the bytes when it returns.
  netOnreadShared: (host, port) => {
    const buffer = Buffer.alloc(BUFFER);
    return onread(host, port, () => buffer);
  },
};

/**
 * To contiguous memory.
 * @type {Record<string, (host: string, port: number) => Promise<Receiver>>}
 */
export const FILLERS = {
  readInto: (host, port) => {
    const target = new Uint8Array(TARGET).fill(1);
    return copying(host, port, async (socket) => {
      const reader = socket.reader();
      let total = 0;
      for (let bytes = TARGET; bytes === TARGET; total += bytes) {
        bytes = await reader.readInto(target);
      }
      return total;
    });
  },

  netArrayBuffer: (host, port) => {
    const target = new Uint8Array(TARGET).fill(1);
    return plain(host, port, async (socket) => {
      let total = 0;
      socket.on('data', (chunk) => {
        const at = total % TARGET;
        const head = chunk.subarray(0, TARGET - at);
        target.set(head, at);
        if (head.length < chunk.length) target.set(chunk.subarray(head.length), 0);
        total += chunk.length;
      });
      await once(socket, 'end');
      return total;
    });
  },
};

/**
 * @param {string} host
 * @param {number} port
 * @param {(socket: import('devmem-tcp').DevmemSocket) => Promise<number>} read
 * @returns {Promise<Receiver>}
 */
async function copying(host, port, read) {
  const memory = await DmaBuf.allocate({ type: 'host', size: 64 * MiB });
  const binding = await bindRx({ memory, mode: 'copy' });
  return {
    async receive(bytes) {
      const socket = await connect({ binding, host, port });
      socket.writable.write(request(bytes));
      const total = await read(socket);
      await socket.close();
      return total;
    },
    async close() {
      await binding.close();
      await memory.close();
    },
  };
}

/**
 * @param {string} host
 * @param {number} port
 * @param {(socket: net.Socket) => Promise<number>} read
 * @returns {Promise<Receiver>}
 */
async function plain(host, port, read) {
  return {
    async receive(bytes) {
      const socket = net.connect({ host, port });
      socket.write(request(bytes));
      const total = await read(socket);
      await closed(socket);
      return total;
    },
    close: async () => {},
  };
}

/** @param {net.Socket} socket */
async function closed(socket) {
  if (!socket.closed) await once(socket.destroy(), 'close');
}

/**
 * @param {string} host
 * @param {number} port
 * @param {() => Buffer} bufferOf a connection
 * @returns {Promise<Receiver>}
 */
async function onread(host, port, bufferOf) {
  return {
    async receive(bytes) {
      let total = 0;
      const socket = net.connect({
        host,
        port,
        onread: {
          buffer: bufferOf(),
          callback: (read) => {
            total += read;
            return true;
          },
        },
      });
      socket.write(request(bytes));
      await once(socket, 'end');
      await closed(socket);
      return total;
    },
    close: async () => {},
  };
}
