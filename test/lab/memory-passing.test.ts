/** A dma-buf that goes from one process to another. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { bindRx, DmaBuf, handOff, receiveFd, sendFd } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { descriptorOf } from '../../dist/ipc/handle.js';
import { runPython } from '../support/python.js';
import { unixPair } from '../support/unix.js';
import { INTERFACE } from './support/guest.js';

const SIZE = 2 ** 20;

it('memory that was sent and received is the same memory', async () => {
  await using pair = await unixPair();
  await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: SIZE });
  memory.map().fill(7, 4096, 8192);
  const [received] = await Promise.all([receiveFd(pair.accepted), sendFd(pair.client, memory)]);
  await using copy = received;
  expect(copy.size).toBe(SIZE);
  expect(copy.isDmaBuf).toBe(true);
  expect(copy.fd).not.toBe(memory.fd);
  expect(copy.read(4096, 4096).every((byte) => byte === 7)).toBe(true);
});

it('several go over one socket, in order, both ways', async () => {
  await using pair = await unixPair();
  const sizes = [1, 2, 3].map((factor) => factor * SIZE);
  const all = await Promise.all(sizes.map((size) => DmaBuf.allocate({ type: 'udmabuf', size })));
  const there = Promise.all(sizes.map(() => receiveFd(pair.accepted)));
  await Promise.all(all.map((memory) => sendFd(pair.client, memory)));
  const received = await there;
  expect(received.map((memory) => memory.size)).toEqual(sizes);
  const [back] = await Promise.all([receiveFd(pair.client), sendFd(pair.accepted, received[2]!)]);
  expect(back.size).toBe(3 * SIZE);
  for (const memory of [...all, ...received, back]) await memory.close();
});

it('goes to Python and comes back', async () => {
  await using pair = await unixPair();
  await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: SIZE });
  // Documented in docs/broker.md.
  const program = `
import json, os, socket, struct
connection = socket.socket(fileno=3)
data, fds, _, _ = socket.recv_fds(connection, 4096, 1)
(size,) = struct.unpack('>I', data[:4])
content = json.loads(data[4:4 + size])
assert content == {'type': 'dma-buf', 'size': os.lseek(fds[0], 0, os.SEEK_END)}, content
answer = json.dumps(content).encode()
socket.send_fds(connection, [struct.pack('>I', len(answer)) + answer], [fds[0]])
`;
  const python = spawn('python3', ['-c', program], {
    stdio: ['ignore', 'inherit', 'inherit', descriptorOf(pair.client, 'Pipe')!],
  });
  const exited = once(python, 'exit');
  await sendFd(pair.accepted, memory);
  await using back = await receiveFd(pair.accepted);
  expect(await exited).toEqual([0, null]);
  expect(back.size).toBe(SIZE);
});

it('has a tensor in it go to Python, which writes to it, and is waited for', async () => {
  await using pair = await unixPair();
  await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: SIZE });
  memory.write(8192, Buffer.alloc(4096, 3));
  const program = `
SYNC, START, END = 0x40086200, struct.pack('Q', 3), struct.pack('Q', 7)
content, (fd,) = hear()
assert content['type'] == 'dma-buf' and content['size'] == os.lseek(fd, 0, os.SEEK_END), content
view = mmap.mmap(fd, content['size'])
fcntl.ioctl(fd, SYNC, START)
part = memoryview(view)[content['offset']:content['offset'] + content['length']]
print(content['dtype'], content['shape'], sum(part))
part[0:4] = b'back'
fcntl.ioctl(fd, SYNC, END)
say({'type': 'done', 'id': content['id']})
`;
  const ended = runPython(program, pair.client);
  await handOff(pair.accepted, memory, { offset: 8192, dtype: 'float32', shape: [32, 32] });
  expect(memory.read(8192, 4).toString()).toBe('back');
  expect(await ended).toMatchObject({ status: 0, output: 'float32 [32, 32] 12288\n' });
});

it('belongs to one binding, however often it was imported', async () => {
  await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: 4 * SIZE });
  await using again = await DmaBuf.import({ fd: memory.fd });
  await using pair = await unixPair();
  const [received] = await Promise.all([receiveFd(pair.accepted), sendFd(pair.client, memory)]);
  await using third = received;
  const devmem = { interface: INTERFACE, queues: [1], mode: 'devmem' } as const;
  const inUse = { code: 'ERR_DEVMEM_MEMORY_IN_USE' };
  const binding = await bindRx({ ...devmem, memory: again });
  for (const other of [memory, third]) {
    await expect(bindRx({ mode: 'copy', memory: other })).rejects.toMatchObject(inUse);
    await expect(bindRx({ ...devmem, queues: [2], memory: other })).rejects.toMatchObject(inUse);
  }
  await binding.close();
  await using next = await bindRx({ mode: 'copy', memory: third });
  await expect(bindRx({ ...devmem, memory })).rejects.toMatchObject(inUse);
  expect(next.closed).toBe(false);
});

it('that is not what the sender says is refused', async () => {
  await using pair = await unixPair();
  const program = `
import json, os, socket, struct
connection = socket.socket(fileno=3)
message = json.dumps({'type': 'dma-buf', 'size': 4096}).encode()
socket.send_fds(connection, [struct.pack('>I', len(message)) + message], [0])
`;
  const stdio = ['ignore', 'inherit', 'inherit', descriptorOf(pair.client, 'Pipe')!] as const;
  const python = spawn('python3', ['-c', program], { stdio: [...stdio] });
  const exited = once(python, 'exit');
  const refused = receiveFd(pair.accepted);
  await expect(refused).rejects.toMatchObject({ code: 'ERR_DEVMEM_BAD_MESSAGE' });
  await exited;
});
