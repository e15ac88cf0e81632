/** Each kind of memory on the kernel's devmem path, and what its provider refuses. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { type AllocateOptions, bindRx, DmaBuf, probeMemory } from 'devmem-tcp';
import { beforeAll, describe, expect, it } from 'vitest';

import { rejectionOf } from '../support/thrown.js';
import { INTERFACE, run, rxQueues } from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { receiveStreams } from './support/transfer.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const MiB = 2 ** 20;
const SIZE = 32 * MiB;
const HUGE_PAGES = 24;

beforeAll(() => {
  writeFileSync('/proc/sys/vm/nr_hugepages', String(HUGE_PAGES));
});

const allocate =
  (options: Omit<AllocateOptions, 'size'>): ((size: number) => Promise<DmaBuf>) =>
  (size) =>
    DmaBuf.allocate({ ...options, size });

/** Another's dma-buf, which closes its own descriptor once it was handed over. */
async function imported(size: number): Promise<DmaBuf> {
  await using original = await DmaBuf.allocate({ type: 'dma-heap', size });
  return await DmaBuf.import({ fd: original.fd, size });
}

const KINDS = [
  ['a udmabuf', 'udmabuf', allocate({ type: 'udmabuf' })],
  ['a udmabuf of huge pages', 'udmabuf', allocate({ type: 'udmabuf', hugePages: '2M' })],
  ['a buffer of a DMA heap', 'system', allocate({ type: 'dma-heap' })],
  ['an imported dma-buf', 'system', imported],
] as const;

describe.each(KINDS)('%s', (_, exporter, make) => {
  it('receives 64 MiB byte-exact from the NIC, and is given back whole', async () => {
    await using memory = await make(SIZE);
    expect(memory).toMatchObject({ size: SIZE, isDmaBuf: true, exporter });
    const queues = rxQueues();
    await using binding = await bindRx({ interface: INTERFACE, queues, memory, mode: 'devmem' });
    const [received] = await receiveStreams(binding, 'IPv4', 64 * MiB);
    expect(received).toMatchObject({ bytes: 64 * MiB, firstWrong: -1 });
    expect(received!.stats.deviceBytes).toBeGreaterThan(63 * MiB);
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  });

  it('is what the copy transport can receive into', async () => {
    await using memory = await make(4 * MiB);
    await using binding = await bindRx({ memory, mode: 'copy' });
    const [received] = await receiveStreams(binding, 'IPv4', 8 * MiB);
    expect(received).toMatchObject({ bytes: 8 * MiB, firstWrong: -1 });
    expect(received!.stats.copiedBytes).toBe(8 * MiB);
  });

  it('is one memory for whoever has it: written here, read there', async () => {
    await using memory = await make(2 * MiB);
    await using other = await DmaBuf.import({ fd: memory.fd });
    expect(memory.read(0, 64 * 1024)).toEqual(Buffer.alloc(64 * 1024));
    memory.write(4095, Buffer.from('across pages'));
    memory.cpuAccess(() => memory.map().set(Buffer.from('the end'), 2 * MiB - 7), 'write');
    expect(other.read(4095, 12).toString()).toBe('across pages');
    const end = other.cpuAccess(() => Buffer.from(other.map().subarray(-7)).toString());
    expect(end).toBe('the end');
  });

  it('stays mapped elsewhere when whoever made it is gone', async () => {
    const memory = await make(2 * MiB);
    memory.write(2 * MiB - 7, Buffer.from('the end'));
    await using other = await DmaBuf.import({ fd: memory.fd });
    const view = other.map();
    await memory.close();
    expect(Buffer.from(view.subarray(-7)).toString()).toBe('the end');
  });

  it('leaves nothing behind, a thousand times', async () => {
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    for (let i = 0; i < 1000; i++) {
      const memory = await make(2 * MiB);
      await memory.close();
    }
    expect(descriptors()).toBe(before);
    await expectAllHugePagesFree();
  });
});

/** A view that nobody has any more is unmapped once it is collected. */
async function expectAllHugePagesFree(): Promise<void> {
  const free = (): Promise<number | undefined> => {
    collectGarbage();
    return freeHugePages();
  };
  await expect.poll(free, { timeout: 30_000 }).toBe(HUGE_PAGES);
}

async function freeHugePages(): Promise<number | undefined> {
  const host = (await probeMemory()).find((probe) => probe.type === 'host');
  return host?.hugePages.find((pages) => pages.size === '2M')?.free;
}

describe('what a provider refuses', () => {
  it("names udmabuf's limits, and the command that raises the one in the way", async () => {
    const file = '/sys/module/udmabuf/parameters/size_limit_mb';
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, '1');
    try {
      const error = await rejectionOf(DmaBuf.allocate({ type: 'udmabuf', size: 2 * MiB }));
      expect(error).toMatchObject({ code: 'EINVAL', syscall: 'ioctl(UDMABUF_CREATE)' });
      expect(error.message).toContain('size_limit_mb 1, list_limit 1024');
      expect(error.message).toContain(`echo 2 > ${file}`);
      const probe = (await probeMemory()).find((each) => each.type === 'udmabuf');
      expect(probe).toMatchObject({ available: true, sizeLimitBytes: MiB, listLimit: 1024 });
    } finally {
      writeFileSync(file, before);
    }
  });

  it('names the huge pages that are missing, and how to reserve them', async () => {
    const size = (HUGE_PAGES + 1) * 2 * MiB;
    const error = await rejectionOf(DmaBuf.allocate({ type: 'udmabuf', size, hugePages: '2M' }));
    expect(error).toMatchObject({ code: 'ENOSPC', syscall: 'fallocate' });
    expect(error.message).toContain(`there are ${HUGE_PAGES}`);
    expect(error.message).toContain(`echo ${HUGE_PAGES + 1} > /proc/sys/vm/nr_hugepages`);
    await expectAllHugePagesFree();
  });

  it('lists the heaps that there are', async () => {
    const error = await rejectionOf(
      DmaBuf.allocate({ type: 'dma-heap', heap: 'nosuch', size: 2 * MiB }),
    );
    expect(error).toMatchObject({ code: 'ENOENT' });
    expect(error.message).toContain("/dev/dma_heap/nosuch. The heaps of this machine: 'system'");
    const probe = (await probeMemory()).find((each) => each.type === 'dma-heap');
    expect(probe?.heaps).toContainEqual({ name: 'system', available: true });
  });

  it('tells another size than was expected of an import', async () => {
    await using memory = await DmaBuf.allocate({ type: 'dma-heap', size: 2 * MiB });
    const error = await rejectionOf(DmaBuf.import({ fd: memory.fd, size: 4 * MiB }));
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    expect(error.message).toContain(`${2 * MiB}, the size of this memory`);
  });
});

/** Allocates of a heap with a descriptor for reading only, and has it inherited by a program. */
const READ_ONLY = `
import fcntl, os, struct, sys
heap = os.open('/dev/dma_heap/system', os.O_RDWR)
request = bytearray(struct.pack('=QIIQ', ${2 * MiB}, 0, os.O_RDONLY, 0))
fcntl.ioctl(heap, 0xc0184800, request) # DMA_HEAP_IOCTL_ALLOC
fd = struct.unpack('=QIIQ', request)[1]
os.set_inheritable(fd, True)
os.execv(sys.argv[1], [*sys.argv[1:], str(fd)])
`;

describe('an import that the CPU cannot map', () => {
  it('is refused by map(), read() and the copy transport, each saying why', () => {
    const program = fileURLToPath(new URL('support/unmappable.mjs', import.meta.url));
    const output = run('python3', '-c', READ_ONLY, process.execPath, program);
    const [map, read, copy, auto] = JSON.parse(output) as { code: string; message: string }[];
    for (const error of [map, read]) {
      expect(error!.code).toBe('ERR_DEVMEM_NOT_MAPPABLE');
      expect(error!.message).toContain("exporter 'system'): mmap EACCES");
    }
    expect(copy!.code).toBe('ERR_DEVMEM_WRONG_MEMORY');
    expect(copy!.message).toContain("type 'import'");
    expect(auto!.code).toBe('ERR_DEVMEM_WRONG_MEMORY');
    expect(auto!.message).toContain('Devmem could not be used: ');
  });
});
