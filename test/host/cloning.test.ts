/** What belongs to its thread is not cloned into another, silently or otherwise. */
import { MessageChannel, Worker } from 'node:worker_threads';

import { adopt, createServer, type Fragment, startBroker } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { handMade } from '../support/columns.js';
import { expectNoLeaks } from '../support/leaks.js';
import { openPair } from '../support/peers.js';
import { plainPair } from '../support/plain-pair.js';
import { thrownBy } from '../support/thrown.js';
import { bind } from '../support/transports.js';
import { Folder } from '../support/unix.js';

const MEMORY =
  'post its fd and size, and DmaBuf.import() them there; to another process, sendFd() it';
const CONNECTION = 'post offset and size of fragments, and release them once read';

/** Each way to clone refuses it, by itself and as a part of something. */
function expectUncloneable(value: unknown, words: string): void {
  const { port1, port2 } = new MessageChannel();
  const ways: ((value: unknown) => unknown)[] = [
    (each) => structuredClone(each),
    (each) => port1.postMessage(each),
    (each) => new Worker('', { eval: true, workerData: each }),
  ];
  for (const way of ways) {
    for (const each of [value, { some: ['thing', value] }, new Map([[value, 1]])]) {
      const error = thrownBy(() => way(each));
      expect(error).toMatchObject({ name: 'DataCloneError' });
      expect(error.message).toContain(words);
    }
  }
  port1.close();
  port2.close();
}

describe('cloning throws in words', () => {
  expectNoLeaks();

  it('of memory and a binding, open or closed', async () => {
    const { memory, binding } = await bind('copy');
    expectUncloneable(memory, MEMORY);
    expectUncloneable(binding, MEMORY);
    await binding.close();
    await memory.close();
    expectUncloneable(memory, MEMORY);
    expectUncloneable(binding, MEMORY);
  });

  it('of a connection, its batches and its fragments, released or not', async () => {
    await using bound = await bind('copy');
    await using pair = await openPair(bound.binding);
    const { socket, peer } = pair;
    expectUncloneable(socket, CONNECTION);
    peer.write('hello');
    const { value: batch } = await socket.batches().next();
    const fragment = batch!.fragment(0);
    for (const each of [batch, fragment]) expectUncloneable(each, CONNECTION);
    batch!.release();
    for (const each of [batch, fragment]) expectUncloneable(each, CONNECTION);
    await socket.close();
    expectUncloneable(socket, CONNECTION);
  });

  it('of bytes that were read before the stream', async () => {
    await using bound = await bind('copy');
    await using pair = await plainPair({ pauseOnConnect: true });
    const { binding } = bound;
    await using socket = adopt(pair.socket, { binding, head: Buffer.from('head') });
    const { value: fragment } = await socket[Symbol.asyncIterator]().next();
    expect(fragment!.kind).toBe('linear');
    expectUncloneable(fragment, CONNECTION);
    fragment!.release();
    pair.peer.end();
  });

  it('of a server and a broker', async () => {
    await using bound = await bind('copy');
    await using server = createServer({ binding: bound.binding });
    expectUncloneable(server, CONNECTION);
    using folder = new Folder();
    const allow = [{ interface: 'lo' }];
    await using broker = await startBroker({ socket: folder.file('broker'), allow });
    expectUncloneable(broker, CONNECTION);
  });

  it('of what has listeners, whose functions are as little to be cloned', async () => {
    await using bound = await bind('copy');
    await using pair = await openPair(bound.binding);
    bound.binding.on('lost', () => {});
    pair.socket.on('close', () => {});
    for (const each of [bound.binding, pair.socket]) {
      const error = thrownBy(() => structuredClone(each));
      expect(error).toMatchObject({ name: 'DataCloneError' });
    }
  });
});

it('tells other threads where bytes lie: runs and offsets are plain', () => {
  const { batch } = handMade({ offset: 4096, size: 1448 }, { offset: 5544, size: 100 });
  expect(structuredClone(batch.runs())).toEqual([{ offset: 4096, size: 1548, dmabufId: 7 }]);
  const [{ offset, size }] = [...batch] as [Fragment];
  expect(structuredClone({ offset, size })).toEqual({ offset: 4096, size: 1448 });
});

it('JSON of memory says nothing of it', async () => {
  await using bound = await bind('copy', { size: 2 ** 20 });
  expect(JSON.parse(JSON.stringify(bound.memory))).toMatchObject({ type: 'host', size: 2 ** 20 });
});
