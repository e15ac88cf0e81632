// @ts-check
// Round trips of small messages to an echo, over this package's sockets and over
// net.Socket's in turn. Prints JSON: microseconds of each trip, by kind.
//
//   node bench/host/latency.mjs HOST PORT ROUNDS TRIPS
import { once } from 'node:events';
import net from 'node:net';
import { performance } from 'node:perf_hooks';

import { bindRx, connect, DmaBuf } from 'devmem-tcp';
import { alternate } from '../lib/alternate.mjs';
import { quantile } from '../lib/statistics.mjs';
import { request } from '../peer/source.mjs';

const MESSAGE = Buffer.alloc(64, 'x');
const ECHO = 0;
const WARM_UP = 3;

const [host = '', port, rounds, trips] = process.argv.slice(2);
const target = { host, port: Number(port) };
const count = Number(trips);

/** @typedef {{ p50: number, p99: number }} Latency microseconds */

/**
 * @param {number[]} times milliseconds
 * @returns {Latency}
 */
const latency = (times) => ({ p50: quantile(times, 0.5) * 1e3, p99: quantile(times, 0.99) * 1e3 });

async function openCopy() {
  const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 22 });
  const binding = await bindRx({ memory, mode: 'copy' });
  const socket = await connect({ ...target, binding, noDelay: true });
  socket.writable.write(request(ECHO));
  const batches = socket.batches();
  return {
    async sample() {
      const times = [];
      for (let trip = 0; trip < count; trip++) {
        const before = performance.now();
        socket.writable.write(MESSAGE);
        for (let got = 0; got < MESSAGE.length;) {
          const { value, done } = await batches.next();
          if (done === true) throw new Error('the echo ended');
          got += value.byteLength;
          value.release();
        }
        times.push(performance.now() - before);
      }
      return latency(times);
    },
    async close() {
      await socket.close();
      await binding.close();
      await memory.close();
    },
  };
}

async function openNet() {
  const socket = net.connect({ ...target, noDelay: true });
  await once(socket, 'connect');
  socket.write(request(ECHO));
  /** @type {() => void} */
  let whole = () => {};
  let got = 0;
  socket.on('data', (chunk) => {
    got += chunk.length;
    if (got === MESSAGE.length) whole();
  });
  return {
    async sample() {
      const times = [];
      for (let trip = 0; trip < count; trip++) {
        const before = performance.now();
        got = 0;
        /** @type {Promise<void>} */
        const echoed = new Promise((resolve) => (whole = resolve));
        socket.write(MESSAGE);
        await echoed;
        times.push(performance.now() - before);
      }
      return latency(times);
    },
    async close() {
      socket.destroy();
      await once(socket, 'close');
    },
  };
}

const copy = await openCopy();
const plain = await openNet();
const contenders = { copy: () => copy.sample(), netSocket: () => plain.sample() };
await alternate(contenders, WARM_UP);
const samples = await alternate(contenders, Number(rounds));
await copy.close();
await plain.close();
process.stdout.write(`${JSON.stringify(samples)}\n`);
