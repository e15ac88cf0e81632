// @ts-check
// What giving fragments back costs, by kind of memory, while half of it is held:
//
//   npm run lab -- node bench/lab/release.mjs
//
// The kernel takes a page that is given back beyond what its page pools keep to the
// binding's allocator (genpool), which looks for the page's chunk from the start of
// a list: the more chunks the memory has, the longer that takes.
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';
import { ADDRESS, INTERFACE, rxQueues } from './interface.mjs';

const MiB = 2 ** 20;
const MEMORY = 64 * MiB;
const HELD = 28 * MiB;
const STREAM = 192 * MiB;
const MAIN = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));

/** @type {Record<string, import('devmem-tcp').AllocateOptions>} */
const KINDS = {
  'udmabuf, 4 KiB pages': { type: 'udmabuf', size: MEMORY },
  'udmabuf, 2 MiB pages': { type: 'udmabuf', size: MEMORY, hugePages: '2M' },
  'dma-heap system': { type: 'dma-heap', size: MEMORY },
};

/** @param {import('devmem-tcp').AllocateOptions} options */
async function measure(options) {
  const memory = await DmaBuf.allocate(options);
  const queues = rxQueues();
  const binding = await bindRx({ interface: INTERFACE, queues, memory, mode: 'devmem' });
  const done = new EventEmitter();
  /** @type {number[]} */
  const times = [];
  let fragments = 0;
  const server = createServer({ binding }, async (socket) => {
    /** @type {import('devmem-tcp').Batch[]} */
    const held = [];
    for await (const batch of socket.batches()) {
      held.push(batch);
      while (binding.heldBytes > HELD) {
        const oldest = held.shift();
        if (oldest === undefined) break;
        fragments += oldest.length;
        const before = performance.now();
        oldest.release();
        times.push(performance.now() - before);
      }
    }
    for (const batch of held) batch.release();
    done.emit('done');
  });
  const { port } = await server.listen({ host: ADDRESS });
  const started = performance.now();
  const where = ['--connect', `${ADDRESS}:${port}`, '--bytes', String(STREAM)];
  const args = [process.execPath, MAIN, 'send', ...where];
  const sender = spawn('peer', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  await Promise.all([once(done, 'done'), once(sender, 'exit')]);
  const seconds = (performance.now() - started) / 1000;
  await server.close();
  await binding.close();
  await memory.close();
  const total = times.reduce((sum, each) => sum + each, 0);
  return {
    'MiB/s': Math.round(STREAM / MiB / seconds),
    'batches released': times.length,
    'ms a batch, mean': Number((total / times.length).toFixed(2)),
    'ms a batch, most': Number(Math.max(...times).toFixed(2)),
    'us a fragment': Number(((1000 * total) / fragments).toFixed(1)),
  };
}

writeFileSync('/proc/sys/vm/nr_hugepages', String(MEMORY / (2 * MiB)));
/** @type {Record<string, Awaited<ReturnType<typeof measure>>>} */
const rows = {};
for (const [kind, options] of Object.entries(KINDS)) rows[kind] = await measure(options);
console.log(`Linux ${release()}, ${HELD / MiB} of ${MEMORY / MiB} MiB held`);
console.table(rows);
