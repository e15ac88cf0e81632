/** Memory of type `host` in other hands: imported, sent to processes, seen by threads. */
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

import { bindRx, DmaBuf, probeMemory, receiveFd, sendFd } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { encodeMessage } from '../../dist/ipc/message.js';
import { UnixSocket } from '../../dist/ipc/unix-socket.js';
import { checkDevmemMemory } from '../../dist/nic/memory-checks.js';
import { itWhere } from '../support/conditions.js';
import { expectNoLeaks } from '../support/leaks.js';
import { openPair } from '../support/peers.js';
import { hasPython, NO_PYTHON, runPython } from '../support/python.js';
import { readPattern, send } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { unixPair } from '../support/unix.js';

const SIZE = 256 * 1024;
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY; // linux/fcntl.h
const IN_USE = { code: 'ERR_DEVMEM_MEMORY_IN_USE' };
const BAD = { name: 'DevmemError', code: 'ERR_DEVMEM_BAD_MESSAGE' };

const allocate = (): Promise<DmaBuf> => DmaBuf.allocate({ type: 'host', size: SIZE });

/** The same memory at both ends of a connection. */
async function exchanged(memory: DmaBuf): Promise<DmaBuf> {
  await using pair = await unixPair();
  const [received] = await Promise.all([receiveFd(pair.accepted), sendFd(pair.client, memory)]);
  return received;
}

const ways = {
  imported: (memory: DmaBuf) => DmaBuf.import({ fd: memory.fd, size: SIZE }),
  'sent and received': exchanged,
};

describe.for(Object.entries(ways))('host memory that was %s', ([, pass]) => {
  expectNoLeaks();

  it('is the same memory', async () => {
    await using memory = await allocate();
    await using other = await pass(memory);
    expect(other).toMatchObject({ type: 'import', size: SIZE, isDmaBuf: false });
    expect(other.exporter).toBeUndefined();
    memory.map().set([1, 2, 3], SIZE - 3);
    expect([...other.read(SIZE - 3, 3)]).toEqual([1, 2, 3]);
    other.map().set([9], SIZE - 2);
    expect(memory.cpuAccess(() => memory.map()[SIZE - 2])).toBe(9);
  });

  it('outlives the one that it came from', async () => {
    const memory = await allocate();
    memory.map().fill(5);
    await using other = await pass(memory);
    await memory.close();
    expect(other.read(0, SIZE).every((byte) => byte === 5)).toBe(true);
  });

  it('is received into, by one binding at a time', async () => {
    await using memory = await allocate();
    await using other = await pass(memory);
    {
      await using binding = await bindRx({ memory: other, mode: 'copy' });
      expect(await rejectionOf(bindRx({ memory, mode: 'copy' }))).toMatchObject(IN_USE);
      await using pair = await openPair(binding);
      const sent = send(pair.peer, 4 * SIZE).then(() => pair.peer.end());
      expect(await readPattern(pair.socket)).toBe(4 * SIZE);
      await sent;
    }
    // What was received last is there for whoever has the memory.
    const bytes = memory.read(0, 4096);
    expect(bytes.some((byte) => byte !== 0)).toBe(true);
    await using again = await bindRx({ memory, mode: 'copy' });
    expect(again.closed).toBe(false);
  });

  it('goes on to the next one', async () => {
    await using memory = await allocate();
    await using other = await pass(memory);
    await using third = await pass(other);
    third.map()[7] = 7;
    expect(memory.map()[7]).toBe(7);
  });

  it('is nothing for a NIC', async () => {
    await using memory = await allocate();
    await using other = await pass(memory);
    const error = await rejectionOf(checkDevmemMemory('lo', other));
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_WRONG_MEMORY' });
    expect(error.message).toContain("(type 'import') is a memfd, which no NIC can receive into");
  });
});

const huge = (await probeMemory()).find((each) => each.type === 'host')!.hugePages;
const pool = huge.find(({ free }) => free >= 2);

describe('memory of huge pages', () => {
  expectNoLeaks();

  itWhere(
    pool !== undefined,
    "two huge pages are not free: 'echo 2 > /proc/sys/vm/nr_hugepages' enables this",
  )('is imported, sent and mapped as any', async () => {
    const size = 2 * pool!.pageBytes;
    await using memory = await DmaBuf.allocate({ type: 'host', size, hugePages: pool!.size });
    await using imported = await DmaBuf.import({ fd: memory.fd });
    await using received = await exchanged(memory);
    expect([imported.size, received.size]).toEqual([size, size]);
    memory.map()[size - 1] = 3;
    expect([imported.map()[size - 1], received.map()[size - 1]]).toEqual([3, 3]);
  });
});

describe('a file that is no such memory', () => {
  expectNoLeaks();

  it('is refused though it lies in shared memory', async () => {
    const fd = openSync('/dev/shm', O_TMPFILE | constants.O_RDWR);
    const error = await rejectionOf(DmaBuf.import({ fd }));
    closeSync(fd);
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(error.message).toContain('sealed against shrinking');
  });

  it('is refused where it has another size than was said', async () => {
    await using memory = await allocate();
    const error = await rejectionOf(DmaBuf.import({ fd: memory.fd, size: SIZE / 2 }));
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    expect(error.message).toContain(`must be ${SIZE}, the size of this memory`);
  });

  it('is refused where the message says that it is a dma-buf', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    const received = rejectionOf(receiveFd(pair.accepted));
    const message = encodeMessage({ type: 'dma-buf', size: SIZE });
    await UnixSocket.of(pair.client).write(message, [memory.fd]);
    const error = await received;
    expect(error).toMatchObject(BAD);
    expect(error.message).toContain('is of type "dma-buf", and brings a memfd');
  });
});

describe('what a process in Python sends', () => {
  expectNoLeaks();
  const itPython = itWhere(hasPython, NO_PYTHON);

  /** Sends a memfd of so many bytes after `prepare` did something with it. */
  const sends = (prepare: string, size = SIZE): string => `
fd = os.memfd_create('devmem-tcp', os.MFD_ALLOW_SEALING)
os.ftruncate(fd, ${size})
SHRINK, WRITE, FUTURE_WRITE = 2, 8, 16
def seal(seals): fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
${prepare}
say({'type': 'memfd', 'size': ${size}}, fd)
`;

  const refused: Record<string, readonly [prepare: string, why: string, size?: number]> = {
    'that is not sealed': ['', 'F_ADD_SEALS, F_SEAL_SHRINK'],
    'that cannot be written to': ['seal(SHRINK | WRITE)', 'that can be written to'],
    'that cannot be mapped for writing': ['seal(SHRINK | FUTURE_WRITE)', 'that can be written to'],
    'that was opened for reading': [
      "seal(SHRINK); fd = os.open(f'/proc/self/fd/{fd}', os.O_RDONLY)",
      'that can be written to',
    ],
    'of half a page': ['seal(SHRINK)', 'a multiple of 4096 bytes, not of 2048', 2048],
    'of another size than it says': ['os.ftruncate(fd, 4096); seal(SHRINK)', 'must be 4096'],
    'that is a pipe': ['fd, _ = os.pipe()', 'a dma-buf or a memfd, and this is'],
  };

  for (const [what, [prepare, why, size]] of Object.entries(refused)) {
    itPython(`is refused where it is a memfd ${what}`, async () => {
      await using pair = await unixPair();
      const received = rejectionOf(receiveFd(pair.accepted));
      const { status } = await runPython(sends(prepare, size), pair.client);
      const error = await received;
      expect(status).toBe(0);
      expect(error).toMatchObject(BAD);
      expect(error.message).toContain(why);
    });
  }

  itPython('is memory where it is a sealed memfd, which it cannot cut short', async () => {
    await using pair = await unixPair();
    const program = `${sends("seal(SHRINK); os.pwrite(fd, b'from Python', 4096)")}
try: os.ftruncate(fd, 0)
except PermissionError: print('refused')
`;
    const [memory, { output }] = await Promise.all([
      receiveFd(pair.accepted),
      runPython(program, pair.client),
    ]);
    expect(output).toBe('refused\n');
    expect(memory.read(4096, 11).toString()).toBe('from Python');
    await memory.close();
  });

  itPython('has what it maps in common with Node, and can neither cut it nor seal it', async () => {
    await using pair = await unixPair();
    await using memory = await allocate();
    memory.write(100, Buffer.from('from Node'));
    const program = `
content, (fd,) = hear()
assert content == {'type': 'memfd', 'size': os.fstat(fd).st_size}, content
view = mmap.mmap(fd, content['size'])
assert view[100:109] == b'from Node', view[100:109]
view[100:111] = b'from Python'
for attempt in (lambda: os.ftruncate(fd, 0), lambda: os.ftruncate(fd, 2 * content['size']),
                lambda: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 16)):
    try: attempt()
    except PermissionError: print('refused')
`;
    const ended = runPython(program, pair.client);
    await sendFd(pair.accepted, memory);
    expect(await ended).toMatchObject({ status: 0, output: 'refused\n'.repeat(3) });
    expect(memory.read(100, 11).toString()).toBe('from Python');
  });
});

describe('another thread', () => {
  expectNoLeaks();

  it('has the same memory by importing its descriptor, and each sees what the other writes', async () => {
    await using memory = await allocate();
    await using other = await OtherThread.with(memory);
    const view = memory.map();
    view.set([1, 2, 3], 1000);
    expect(await other.ask('read', 1000, 3)).toEqual([1, 2, 3]);
    await other.ask('write', 1001, [7, 8]);
    expect([...view.subarray(1000, 1003)]).toEqual([1, 7, 8]);
  });

  it('does not receive into it while this one does', async () => {
    await using memory = await allocate();
    await using other = await OtherThread.with(memory);
    {
      await using binding = await bindRx({ memory, mode: 'copy' });
      expect(binding.closed).toBe(false);
      expect(await other.ask('bind')).toBe(IN_USE.code);
    }
    expect(await other.ask('bind')).toBe('bound');
    const error = await rejectionOf(bindRx({ memory, mode: 'copy' }));
    expect(error).toMatchObject(IN_USE);
    expect(error.message).toContain('in another thread');
  });

  it('gets a copy of an array that is posted to it', async () => {
    await using memory = await allocate();
    const view = memory.map();
    const posted = [structuredClone(view.subarray(0, 4))];
    try {
      posted.push(structuredClone(view, { transfer: [view.buffer as ArrayBuffer] }));
    } catch (error) {
      // Node.js 20 takes no notice of what it cannot transfer.
      expect(error).toMatchObject({ name: 'DataCloneError' });
    }
    for (const copy of posted) copy[0] = 1;
    expect(view[0]).toBe(0);
    expect(view).toHaveLength(SIZE);
  });
});

class OtherThread implements AsyncDisposable {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async with({ fd, size }: DmaBuf): Promise<OtherThread> {
    const script = new URL('children/import-worker.mjs', import.meta.url);
    const worker = new Worker(script, { workerData: { fd, size } });
    await once(worker, 'message');
    return new OtherThread(worker);
  }

  async ask(...command: unknown[]): Promise<unknown> {
    const answer = once(this.#worker, 'message');
    this.#worker.postMessage(command);
    return ((await answer) as [unknown])[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}
