// What a process does with memory of a GPU, by the name of a scenario; prints what
// came of it as JSON. The library is the double's or the real one, by LD_LIBRARY_PATH.
import { once } from 'node:events';
import { fstatSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

import { bindRx, DmaBuf, probeMemory } from '../../../dist/index.js';

import { checkDevmemMemory } from '../../../dist/nic/memory-checks.js';
// Bindings of cuda memory need a NIC; the uses of memory that outlive close() do not.
import { Binding } from '../../../dist/receive/binding.js';
import { MemoryPool } from '../../../dist/receive/pool.js';
import { FragmentStream } from '../../../dist/receive/stream.js';
import { cmsg } from '../../../dist/receive/transports/cmsg.js';
import { failureOf } from './failures.mjs';

const MiB = 2 ** 20;

const InternalBinding = /** @type {{ make(parts: object): Binding }} */ (
  /** @type {unknown} */ (Binding)
);

/** @type {DmaBuf[]} Memory that stays reachable. */
const kept = [];

/** @param {Partial<import('devmem-tcp').AllocateOptions>} [options] */
const allocate = (options) => DmaBuf.allocate({ type: 'cuda', size: 3 * MiB, ...options });

/** Whether the double was asked to free memory. */
function freed() {
  return readFileSync(process.env.DOUBLE_LOG ?? '', 'utf8').includes('cuMemFree');
}

/** @type {Record<string, () => Promise<unknown>>} */
const scenarios = {
  async copy() {
    const memory = await allocate();
    memory.write(2 * MiB - 3, Buffer.from('across'));
    const facts = {
      type: memory.type,
      size: memory.size,
      isDmaBuf: memory.isDmaBuf,
      exporter: memory.exporter,
      fileSize: fstatSync(memory.fd).size,
      aligned: (memory.devicePtr ?? 1n) % BigInt(2 * MiB) === 0n,
      address: memory.devicePtr !== undefined && memory.devicePtr > 0n,
      text: memory.read(2 * MiB - 3, 6).toString(),
      none: memory.read(memory.size, 0).length,
    };
    await memory.close();
    await memory.close();
    return { ...facts, closed: memory.closed };
  },
  async views() {
    const memory = await allocate();
    const failures = [
      await failureOf(() => memory.map()),
      await failureOf(() => memory.cpuAccess(() => 1)),
      await failureOf(() => bindRx({ memory, mode: 'copy' })),
      await failureOf(() => bindRx({ memory, mode: 'auto' })),
      await failureOf(() => checkDevmemMemory('lo', memory)),
    ];
    await memory.close();
    return failures;
  },
  async ipc() {
    const memory = await allocate({ device: 1 });
    const whole = memory.ipcHandle();
    const part = memory.ipcHandle(MiB, 4096);
    const failures = [
      await failureOf(() => memory.ipcHandle(memory.size + 1)),
      await failureOf(() => memory.ipcHandle(4096, memory.size)),
    ];
    await memory.close();
    failures.push(await failureOf(() => memory.ipcHandle()));
    return { whole, part, failures };
  },
  async ipcFailure() {
    const memory = await allocate();
    const failure = await failureOf(() => memory.ipcHandle());
    await memory.close();
    return failure;
  },
  async failure() {
    return failureOf(() => allocate({ device: 1 }));
  },
  async flush() {
    const memory = await allocate();
    memory.flush();
    memory.read(0, 1);
    await memory.close();
    return undefined;
  },
  async flushFailure() {
    const memory = await allocate();
    const failure = await failureOf(() => memory.flush());
    await memory.close();
    return failure;
  },
  async readFailure() {
    const memory = await allocate();
    const failure = await failureOf(() => memory.read(0, 1));
    await memory.close();
    return failure;
  },
  // The end of the process, with memory allocated.
  async abandon() {
    kept.push(await allocate());
    return 'allocated';
  },
  async exit() {
    kept.push(await allocate());
    process.stdout.write('"exiting"', () => process.exit(0));
    await delay(10_000);
    return undefined;
  },
  async collect() {
    await (async () => {
      await allocate();
    })();
    for (let i = 0; i < 20; i++) {
      globalThis.gc?.();
      await delay(10); // finalizers run in a later turn
    }
    return 'collected';
  },
  async worker() {
    const worker = new Worker(new URL(import.meta.url), { argv: ['inWorker'] });
    await once(worker, 'message');
    await worker.terminate();
    return 'terminated';
  },
  async inWorker() {
    kept.push(await allocate());
    parentPort?.postMessage('allocated');
    await delay(10_000);
    return undefined;
  },
  async busyWorkers() {
    for (let i = 0; i < 10; i++) {
      const worker = new Worker(new URL(import.meta.url), { argv: ['allocating'] });
      await once(worker, 'message');
      await delay(i); // in the midst of one call or another
      await worker.terminate();
    }
    return 'terminated';
  },
  async allocating() {
    for (;;) {
      kept.push(await allocate());
      parentPort?.postMessage('allocated');
      await kept.shift()?.close();
    }
  },
  // Closed while its binding is open: the memory stays until that is closed too.
  async inUse() {
    const memory = await allocate();
    const binding = InternalBinding.make({
      transport: cmsg,
      pool: MemoryPool.reserve(memory),
      id: 1,
      interface: 'none',
      queues: [],
      heldLimit: memory.size,
      stallWarningMs: Infinity,
      ringBytes: 0,
    });
    const stream = new FragmentStream([binding], () => 'none');
    await memory.close();
    const whileBound = freed();
    await binding.close();
    const whileConnected = freed();
    stream.detach();
    return { whileBound, whileConnected, afterwards: freed() };
  },
  async probe() {
    const probes = await probeMemory();
    const cuda = probes.find((probe) => probe.type === 'cuda');
    return { ...cuda, error: undefined };
  },
};

const name = process.argv[2] ?? '';
const result = await scenarios[name]?.();
if (isMainThread && result !== undefined) process.stdout.write(JSON.stringify(result));
