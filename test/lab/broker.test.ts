/** Receiving without privilege: a broker binds, and its clients cannot hurt each other. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { type BindingLostMessage, bindRx, DmaBuf, type SystemError } from 'devmem-tcp';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';

import { encodeMessage } from '../../dist/ipc/message.js';
import { BrokerProcess } from '../support/broker.js';
import { Recorder } from '../support/diagnostics.js';
import { connectUnix } from '../support/unix.js';
import { ADDRESS, INTERFACE, steerToQueues } from './support/guest.js';
import { startSender } from './support/transfer.js';
import { AUTO } from './support/transport.js';

const MiB = 2 ** 20;
const NOBODY = '65534';
const CLIENT = fileURLToPath(new URL('support/broker-client.mjs', import.meta.url));

/** What broker-client.mjs tells. */
interface News {
  port?: number;
  id?: number;
  uid?: number;
  capabilities?: string;
  received?: { bytes: number; firstWrong: number; stats: { deviceBytes: number } };
  lost?: string;
  closed?: boolean;
  error?: SystemError;
}

/** A client without any privilege. */
class Client {
  readonly process: ChildProcess;

  constructor(queue: number) {
    const drop = ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups'];
    const none = ['--bounding-set', '-all', '--inh-caps', '-all', '--no-new-privs'];
    const node = [process.execPath, CLIENT, socket, String(queue)];
    this.process = spawn('setpriv', [...drop, ...none, '--', ...node], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    clients.push(this);
  }

  async news(): Promise<News> {
    const [news] = (await once(this.process, 'message')) as [News];
    return news;
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exit = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await exit;
  }
}

const clients: Client[] = [];
let folder: string;
let socket: string;
let broker: BrokerProcess;
let memory: DmaBuf;
let udmabufMode: number;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  udmabufMode = statSync('/dev/udmabuf').mode;
  chmodSync('/dev/udmabuf', 0o666);
  return steerToQueues(1, 1);
});

afterAll(async () => {
  chmodSync('/dev/udmabuf', udmabufMode);
  await memory.close();
});

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-'));
  chmodSync(folder, 0o755);
  socket = path.join(folder, 'socket');
  const options = ['--mode', '0666', '--allow-uid', NOBODY, '--allow-uid', '0'];
  broker = await BrokerProcess.start(socket, '--allow', `${INTERFACE}:1,2`, ...options);
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.kill();
  await broker[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** Binds without the broker, which works only while nobody else has the queue. */
async function expectFree(queue: number): Promise<void> {
  const options = { interface: INTERFACE, queues: [queue], memory, mode: 'devmem' } as const;
  await using binding = await bindRx(options);
  expect(binding.queues).toEqual([queue]);
}

it('a process without privilege receives a stream into device memory', async () => {
  const client = new Client(1);
  const { port, id, uid, capabilities } = await client.news();
  expect(uid).toBe(Number(NOBODY));
  expect(capabilities).toBe('0000000000000000');
  expect(broker.output).toContain(`bound ${INTERFACE} queues 1, binding ${id}`);
  const news = client.news();
  startSender(ADDRESS.IPv4, port!, 16 * MiB);
  const { received } = await news;
  expect(received).toMatchObject({ bytes: 16 * MiB, firstWrong: -1 });
  expect(received?.stats.deviceBytes).toBe(16 * MiB);
});

it('it could not bind by itself, and is told what that takes', async () => {
  const client = new Client(1);
  await client.news();
  const news = client.news();
  client.process.send('bind');
  const { error } = await news;
  expect(error).toMatchObject({ code: 'EPERM', errno: -1, syscall: 'netdev bind-rx' });
  expect(error?.message).toContain('CAP_NET_ADMIN');
});

it('a second client cannot have its queue, nor take it away', async () => {
  const first = new Client(1);
  const { port, id } = await first.news();
  const second = new Client(1);
  const { error } = await second.news();
  expect(error).toMatchObject({ code: 'EEXIST', errno: -17, syscall: 'netdev bind-rx' });
  expect(error?.message).toContain(`rx queue 1 (binding ${id})`);
  expect(error?.kernelMessage).toMatch(/\w/);
  expect(error?.hint).toMatch(/\w/);

  const third = await connectUnix(socket);
  const told = new Promise((resolve) => third.once('data', resolve));
  third.write(encodeMessage({ version: 1, command: 'unbind', id }));
  third.resume();
  expect(String(await told)).toContain('unbind');
  third.destroy();

  const news = first.news();
  startSender(ADDRESS.IPv4, port!, 4 * MiB);
  const { received } = await news;
  expect(received).toMatchObject({ bytes: 4 * MiB, firstWrong: -1 });
  expect(received?.stats.deviceBytes).toBe(4 * MiB);
});

it('a client that is killed leaves its queue to the next one, and others their own', async () => {
  const [killed, other] = [new Client(1), new Client(2)];
  await Promise.all([killed.news(), other.news()]);
  await killed.kill();
  await broker.said('unbound');
  expect(broker.output).toContain(`unbound ${INTERFACE} queues 1`);
  await expectFree(1);
  const refused = await bindRx({ interface: INTERFACE, queues: [2], memory, mode: 'devmem' }).catch(
    (error: unknown) => error,
  );
  expect(refused).toMatchObject({ code: 'EEXIST' });
  const next = new Client(1);
  expect((await next.news()).port).toBeGreaterThan(0);
});

it('a broker that is killed takes its bindings with it, and the clients are told', async () => {
  const client = new Client(1);
  await client.news();
  const news = client.news();
  await broker.end('SIGKILL');
  const { lost, closed } = await news;
  expect(lost).toContain(socket);
  expect(closed).toBe(true);
  await expectFree(1);
});

it('a lost binding is told on the diagnostics channel, and by a warning where nobody listens', async () => {
  using channel = new Recorder<BindingLostMessage>('devmem-tcp:binding-lost');
  const options = { interface: INTERFACE, queues: [1], memory, mode: 'devmem' } as const;
  await using binding = await bindRx({ ...options, broker: socket });
  const warned = once(process, 'warning') as Promise<[Error]>;
  await broker.end('SIGKILL');
  const [warning] = await warned;
  expect(warning).toMatchObject({ code: 'DEVMEM_BINDING_LOST' });
  expect(binding.closed).toBe(true);
  expect(channel.messages).toMatchObject([
    { bindingId: binding.id, interface: INTERFACE, reason: { code: 'ERR_DEVMEM_BROKER_LOST' } },
  ]);
});

it('a broker that ends in good order does so too', async () => {
  const client = new Client(1);
  await client.news();
  const news = client.news();
  expect(await broker.end('SIGTERM')).toEqual([0, null]);
  expect((await news).lost).toContain('gone');
  await expectFree(1);
});

it('closing a binding waits until the broker has undone it', async () => {
  const options = { interface: INTERFACE, queues: [1], memory, mode: 'devmem' } as const;
  const ids = new Set<number>();
  for (let i = 0; i < 5; i++) {
    const binding = await bindRx({ ...options, broker: socket });
    expect(binding).toMatchObject({ transport: AUTO, queues: [1], rxPageSize: 4096 });
    expect((await binding.rxQueues()).map((queue) => queue.id)).toEqual([1]);
    ids.add(binding.id);
    await Promise.all([binding.close(), binding.close()]);
    await expectFree(1);
  }
  expect(ids.size).toBe(5);
});

it('a queue that the broker may not give out is refused', async () => {
  const { error } = await new Client(3).news();
  expect(error).toMatchObject({ code: 'ERR_DEVMEM_BROKER_REFUSED' });
  expect(error?.message).toContain(`rx queue 3 of ${INTERFACE}`);
});

it('auto mode copies where there is no broker, and says why', async () => {
  await broker.end('SIGTERM');
  const options = { interface: INTERFACE, queues: [1], memory, broker: socket };
  await using binding = await bindRx({ ...options, mode: 'auto' });
  expect(binding.transport).toBe('copy');
  expect(binding.fallback).toMatchObject({ code: 'ENOENT', syscall: 'connect' });
});
