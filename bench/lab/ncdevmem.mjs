// @ts-check
// In the guest: streams received by the kernel's own ncdevmem and by this package in
// turn, each on the same queue into memory of its own. Prints MiB/s as JSON, as the
// sender sees them: from its connecting until the receiver has closed the connection.
//
//   node bench/lab/ncdevmem.mjs SOURCE NCDEVMEM MIB ROUNDS
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';
import { alternate } from '../lib/alternate.mjs';
import { ADDRESS, INTERFACE } from './interface.mjs';

const MiB = 2 ** 20;
const PORT = 5201;
const QUEUE = 3;
// What ncdevmem allocates for itself: 16000 pages.
const MEMORY = 16000 * 4096;
// Stand-ins for programs that it runs.
const TOOLS = fileURLToPath(new URL('../../test/lab/support/ncdevmem', import.meta.url));

const execute = promisify(execFile);
const [source = '', ncdevmem = '', size, rounds] = process.argv.slice(2);
const bytes = Number(size) * MiB;

async function send() {
  const { stdout } = await execute('peer', [source, ADDRESS, String(PORT), String(bytes)]);
  return bytes / MiB / Number(stdout);
}

async function receiveByNcdevmem() {
  const options = ['-l', '-s', ADDRESS, '-p', String(PORT), '-f', INTERFACE];
  const child = spawn(ncdevmem, [...options, '-t', String(QUEUE), '-q', '1'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH: `${TOOLS}:${process.env.PATH ?? ''}` },
  });
  const exit = once(child, 'close');
  let said = '';
  const listening = new Promise((resolve, reject) => {
    child.stderr.on('data', (piece) => {
      // It tells of every fragment; the beginning alone says something.
      if (said.includes('Waiting or connection')) return;
      said += String(piece);
      if (said.includes('Waiting or connection')) resolve(undefined);
    });
    void exit.then(() => {
      reject(new Error(`ncdevmem ended: ${said}`));
    });
  });
  await listening;
  const rate = await send();
  await exit;
  return rate;
}

async function receiveBatches() {
  const memory = await DmaBuf.allocate({ type: 'udmabuf', size: MEMORY });
  const binding = await bindRx({ interface: INTERFACE, queues: [QUEUE], memory, mode: 'devmem' });
  let total = 0;
  const server = createServer({ binding }, async (socket) => {
    for await (const batch of socket.batches()) {
      batch.forEach(
        (_, length) => (total += length),
        (linear) => (total += linear.length),
      );
      batch.release();
    }
  });
  await server.listen({ host: ADDRESS, port: PORT });
  const rate = await send();
  await server.close();
  await binding.close();
  await memory.close();
  if (total !== bytes) throw new Error(`${total} of ${bytes} bytes`);
  return rate;
}

// In this order: ncdevmem steers the port to its queue and leaves that behind.
const contenders = { ncdevmem: receiveByNcdevmem, batches: receiveBatches };
await alternate(contenders, 1);
const samples = await alternate(contenders, Number(rounds));
process.stdout.write(`${JSON.stringify(samples)}\n`);
