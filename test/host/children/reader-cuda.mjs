// What a process does with a reader and memory of a GPU, by the name of a scenario; prints
// what came of it as JSON. The library is the double's, by LD_LIBRARY_PATH.
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

import { bindRx, connect, DmaBuf } from '../../../dist/index.js';

import { native } from '../../../dist/native.js';
import { DeviceStream } from './cuda-stream.mjs';
import { failureOf } from './failures.mjs';
import { bytesOf, Mixed } from './mixed-reads.mjs';
import { cut, random, randomBytes } from './random.mjs';

const MiB = 2 ** 20;

/** @param {number} [size] */
const onGpu = (size = 2 * MiB) => DmaBuf.allocate({ type: 'cuda', size });

/** @param {number} [size] */
const onHost = (size = 2 * MiB) => DmaBuf.allocate({ type: 'host', size });

/** What is left once engines had time to close. */
async function left() {
  for (let i = 0; i < 500; i++) {
    const live = native().cudaLive();
    if (Object.values(live).every((count) => count === 0)) break;
    await delay(2);
  }
  return native().cudaLive();
}

/** A connection that copies into host memory, and its peer. */
async function openPair({ size = 4 * MiB } = {}) {
  const memory = await onHost(size);
  const binding = await bindRx({ memory, mode: 'copy' });
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  const [socket, [peer]] = await Promise.all([
    connect({ binding, host: '127.0.0.1', port }),
    /** @type {Promise<[net.Socket]>} */ (once(server, 'connection')),
  ]);
  peer.on('error', () => {});
  return {
    memory,
    binding,
    socket,
    peer,
    async close() {
      peer.destroy();
      socket.destroy();
      server.close();
      await binding.close();
      await memory.close();
    },
  };
}

/** @type {Record<string, () => Promise<unknown>>} */
const scenarios = {
  // Fragments of a GPU and linear ones, read in all ways at once.
  async mixed() {
    const source = await DeviceStream.open(await onGpu(8 * MiB));
    const targets = [await onGpu(8 * MiB), await onHost(8 * MiB), new Uint8Array(8 * MiB)];
    const bytes = randomBytes(2 * MiB);
    const mixed = new Mixed(source.reader, bytes, targets);
    for (let at = 0; mixed.left > 0;) {
      for (let i = random(6); i > 0 && mixed.left > 0; i--) mixed.one();
      if (at < bytes.length) {
        const size = 1 + random(100_000);
        source.push(cut(bytes.subarray(at, at + size), 5000), 5);
        at += size;
      }
      if (random(3) === 0) await nextTurn();
      // Nothing comes any more, and everything is asked for.
      if (at >= bytes.length) while (mixed.left > 0) mixed.one();
    }
    await mixed.done();
    source.end();
    const rest = await source.reader.readInto(new Uint8Array(1));
    const { position } = source.reader;
    await nextTurn();
    const { held } = source;
    await source.close();
    for (const target of targets) if (target instanceof DmaBuf) await target.close();
    return { wrong: mixed.wrong, rest, position, held, live: await left() };
  },

  // What the copy transport has in host memory, through a memory that is smaller than it.
  async copied() {
    const pair = await openPair({ size: 64 * 1024 });
    const target = await onGpu(8 * MiB);
    const bytes = randomBytes(3 * MiB);
    const reader = pair.socket.reader();
    const reads = [];
    let at = 0;
    for (let i = 0; i < 10; i++) {
      const length = random(300_000);
      reads.push(reader.readInto(target, { offset: at, length }));
      at += length;
    }
    reads.push(reader.readInto(target, { offset: at, length: target.size - at }));
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, pair.binding.heldBytes)), 1);
    pair.peer.end(bytes);
    const sizes = await Promise.all(reads);
    clearInterval(watch);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const whole = target.read(0, bytes.length).equals(bytes);
    await nextTurn();
    const { heldBytes, heldLimit } = pair.binding;
    await pair.close();
    await target.close();
    return { total, whole, heldBytes, within: most <= heldLimit, live: await left() };
  },

  // All asked for before the engine is open, by the calls' order.
  async order() {
    const source = await DeviceStream.open(await onGpu());
    const target = await onGpu();
    source.push(cut(Buffer.from('one two three four\nfive six'), 4));
    const { reader } = source;
    /** @type {string[]} */
    const done = [];
    /** @param {string} name @param {Promise<unknown>} promise */
    const note = async (name, promise) => {
      await promise;
      done.push(name);
    };
    const into = note('readInto', reader.readInto(target, { length: 4 }));
    const taken = reader.take(4);
    const read = reader.read(6);
    const line = reader.readUntil('\n');
    const more = reader.readInto(target, { offset: 4, length: 4 });
    const peeked = reader.peek(4);
    const others = note('others', Promise.all([taken, read, line, more, peeked]));
    await Promise.all([into, others]);
    const span = await taken;
    const parts = [...span].map(bytesOf);
    span.release();
    const texts = [
      target.read(0, 4),
      Buffer.concat(parts),
      await read,
      await line,
      target.read(4, 4),
      await peeked,
    ].map((bytes) => Buffer.from(bytes).toString());
    await source.close();
    await target.close();
    return { texts, held: source.held, live: await left() };
  },

  // The engine cannot be opened, once: nothing is taken, and the next call fares better.
  async unopened() {
    const source = await DeviceStream.open(await onGpu());
    const bytes = randomBytes(10_000);
    source.push(cut(bytes, 1000));
    const { reader } = source;
    const target = await onGpu();
    const both = [
      reader.readInto(target, { length: 5000 }),
      reader.readInto(target, { offset: 5000, length: 5000 }),
    ].map(failureOf);
    const failures = await Promise.all(both);
    const { position } = reader;
    const before = native().cudaLive();
    const length = await reader.readInto(target, { length: 10_000 });
    const whole = target.read(0, 10_000).equals(bytes);
    await nextTurn();
    const { held } = source;
    await source.close();
    await target.close();
    return { failures, position, opened: before.streams, length, whole, held, live: await left() };
  },

  // CUDA fails a copy: its bytes are gone, those behind them are not, and none is held.
  async uncopied() {
    const source = await DeviceStream.open(await onGpu());
    const target = await onGpu();
    const bytes = randomBytes(9000);
    const { reader } = source;
    const lost = failureOf(reader.readInto(target, { length: 5000 }));
    source.push(cut(bytes.subarray(0, 5000), 1000));
    const failure = await lost;
    source.push(cut(bytes.subarray(reader.position), 1000));
    const { position } = reader;
    const length = bytes.length - position;
    // By the same engine, unless that has failed for good.
    const second = await failureOf(reader.readInto(target, { length }));
    const whole = second !== undefined || target.read(0, length).equals(bytes.subarray(position));
    await nextTurn();
    const { held } = source;
    await source.close();
    await target.close();
    return { failure, second, whole, position, held, live: await left() };
  },

  // Fragments are given back once their bytes are in the target, and not before.
  async held() {
    const source = await DeviceStream.open(await onGpu(8 * MiB));
    const target = await onGpu(8 * MiB);
    const bytes = randomBytes(MiB);
    const pieces = cut(bytes, 9000);
    const starts = [0];
    for (const piece of pieces) starts.push((starts.at(-1) ?? 0) + piece.length);
    let early = 0;
    let released = 0;
    source.onReleased = (number) => {
      released++;
      const piece = pieces[number] ?? Buffer.alloc(0);
      if (!target.read(starts[number] ?? 0, piece.length).equals(piece)) early++;
    };
    const filled = source.reader.readInto(target, { length: bytes.length });
    for (let at = 0; at < pieces.length; at += 20) source.push(pieces.slice(at, at + 20));
    await filled;
    await nextTurn();
    const { held } = source;
    await source.close();
    await target.close();
    return { early, all: released === pieces.length, held, live: await left() };
  },

  // Given up in the midst: it settles once the GPU is done, and the rest is there to be read.
  async aborted() {
    const source = await DeviceStream.open(await onGpu(8 * MiB));
    const target = await onGpu(8 * MiB);
    const bytes = randomBytes(2 * MiB);
    const { reader } = source;
    const controller = new AbortController();
    const { signal } = controller;
    const given = failureOf(reader.readInto(target, { signal }));
    const next = reader.readInto(target, { offset: 4 * MiB, length: MiB });
    source.push(cut(bytes.subarray(0, MiB), 9000));
    while (reader.position < MiB) await nextTurn();
    controller.abort();
    const failure = await given;
    // At once: what the GPU had not copied yet would be missing.
    const gathered = target.read(0, MiB).equals(bytes.subarray(0, MiB));
    source.push(cut(bytes.subarray(MiB), 9000));
    const length = await next;
    const whole = target.read(4 * MiB, MiB).equals(bytes.subarray(MiB));
    await nextTurn();
    const { held } = source;
    await source.close();
    await target.close();
    return { failure, gathered, length, whole, held, live: await left() };
  },

  async abortedBefore() {
    const source = await DeviceStream.open(await onGpu());
    const target = await onGpu();
    source.push([Buffer.from('stays')]);
    const controller = new AbortController();
    // The engine is being opened.
    const given = failureOf(source.reader.readInto(target, { signal: controller.signal }));
    controller.abort();
    const failure = await given;
    const text = Buffer.from(await source.reader.read(5)).toString();
    await source.close();
    await target.close();
    return { failure, text, live: await left() };
  },

  async destroyed() {
    const pair = await openPair();
    const target = await onGpu(8 * MiB);
    const bytes = randomBytes(3 * MiB);
    const reader = pair.socket.reader();
    const given = failureOf(reader.readInto(target));
    pair.peer.write(bytes);
    while (reader.position < MiB) await nextTurn();
    pair.socket.destroy();
    const failure = await given;
    const { position } = reader;
    const gathered = target.read(0, position).equals(bytes.subarray(0, position));
    await nextTurn();
    const { heldBytes } = pair.binding;
    await pair.close();
    await target.close();
    return { failure, gathered, heldBytes, live: await left() };
  },

  async released() {
    const source = await DeviceStream.open(await onGpu());
    const target = await onGpu();
    const opening = failureOf(source.reader.readInto(target));
    source.reader.releaseLock();
    const failure = await opening;
    await source.close();
    await target.close();
    return { failure, live: await left() };
  },

  // One of the memories is closed in the midst.
  async closedTarget() {
    const source = await DeviceStream.open(await onGpu(8 * MiB));
    const target = await onGpu(8 * MiB);
    const { reader } = source;
    const given = failureOf(reader.readInto(target));
    source.push(cut(randomBytes(MiB), 9000));
    while (reader.position < MiB) await nextTurn();
    await target.close();
    source.push([Buffer.from('stays')]);
    const failure = await given;
    const text = Buffer.from(await reader.read(5)).toString();
    await nextTurn();
    const { held } = source;
    await source.close();
    return { failure, text, held, live: await left() };
  },
  // Its binding is open, so that the memory is there.
  async closedSource() {
    const source = await DeviceStream.open(await onGpu());
    const target = await onGpu();
    const bytes = randomBytes(10_000);
    source.push(cut(bytes, 900));
    await source.memory.close();
    const length = await source.reader.readInto(target, { length: 10_000 });
    const whole = target.read(0, 10_000).equals(bytes);
    const onTheHost = await onHost();
    source.stream.cursor.end(undefined);
    await source.close();
    await target.close();
    await onTheHost.close();
    return { length, whole, live: await left() };
  },

  async kept() {
    const source = await DeviceStream.open(await onGpu());
    const target = await onGpu();
    for (let i = 0; i < 5; i++) {
      source.push([Buffer.from('again')]);
      await source.reader.readInto(target, { length: 5 });
    }
    const { streams, modules } = native().cudaLive();
    await source.close();
    const one = native().cudaLive().streams;
    await target.close();
    return { streams, modules, one, live: await left() };
  },

  // A copy to the CPU fails once: nothing is lost by it.
  async unread() {
    const source = await DeviceStream.open(await onGpu());
    const { reader } = source;
    const text = 'a header that\ncomes whole, after all';
    const ways = [
      () => reader.read(20),
      () => reader.peek(20),
      () => reader.readUntil('\n'),
      () => reader.records({ headerBytes: 10, length: () => 3 }).next(),
    ];
    const way = ways[Number(process.env.READER_WAY)];
    const asked = process.env.READER_WAITS === undefined ? undefined : failureOf(ask());
    for (const piece of ['a header', ' that\ncomes whole,', ' after all']) {
      source.push(piece.match(/.{1,4}/gs)?.map((part) => Buffer.from(part)) ?? []);
    }
    const failure = await (asked ?? failureOf(ask()));
    const { position } = reader;
    source.end();
    const rest = Buffer.from(await reader.read(text.length)).toString();
    const end = await reader.peek(1);
    await nextTurn();
    const { held } = source;
    await source.close();
    return { failure, position, whole: rest === text, end: end.length, held, live: await left() };

    /** @returns {Promise<unknown>} */
    async function ask() {
      return way?.();
    }
  },

  async workers() {
    native(); // stays loaded, as what it has counted
    for (let i = 0; i < Number(process.env.READER_WORKERS ?? 10); i++) {
      const worker = new Worker(new URL(import.meta.url), { argv: ['busy'] });
      await once(worker, 'message');
      if (i % 2 === 1) await delay(i % 7);
      await worker.terminate();
    }
    return { live: await left() };
  },
  async busy() {
    const source = await DeviceStream.open(await onGpu(8 * MiB));
    const targets = [await onGpu(8 * MiB), await onHost(8 * MiB), new Uint8Array(8 * MiB)];
    const bytes = randomBytes(MiB);
    for (;;) {
      const reads = targets.map((target) => source.reader.readInto(target, { length: MiB }));
      targets.forEach(() => source.push(cut(bytes, 9000), 10));
      while (source.reader.position % (3 * MiB) !== 0) await nextTurn();
      parentPort?.postMessage('busy');
      await Promise.all(reads);
    }
  },
};

const name = process.argv[2] ?? '';
const result = await scenarios[name]?.();
if (isMainThread && result !== undefined) process.stdout.write(JSON.stringify(result));
