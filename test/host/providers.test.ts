/** The providers of memory, on a machine that may lack any of them. */
import { existsSync, openSync, closeSync } from 'node:fs';
import { freemem } from 'node:os';

import { type AllocateOptions, DmaBuf, type MemoryProbe, probeMemory } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { itWhere } from '../support/conditions.js';
import { expectNoLeaks } from '../support/leaks.js';
import { rejectionOf, thrownBy } from '../support/thrown.js';

const PAGE = 4096;
const SIZE = 64 * 1024;

const refusal = (options: AllocateOptions): Promise<Error> => rejectionOf(DmaBuf.allocate(options));

async function probe<T extends MemoryProbe['type']>(
  type: T,
): Promise<Extract<MemoryProbe, { type: T }>> {
  const found = (await probeMemory()).find((each) => each.type === type);
  return found as Extract<MemoryProbe, { type: T }>;
}

describe('a DMA heap', () => {
  expectNoLeaks();

  itWhere(!existsSync('/dev/dma_heap'), 'this machine has heaps')(
    'is said to be missing, with what to do, where there is none',
    async () => {
      const error = await refusal({ type: 'dma-heap', size: SIZE });
      expect(error).toMatchObject({ code: 'ENOENT', syscall: 'open' });
      expect(error.message).toContain('/dev/dma_heap/system');
      expect(error.message).toContain('CONFIG_DMABUF_HEAPS_SYSTEM');
      expect(await probe('dma-heap')).toMatchObject({
        available: false,
        reason: error.message,
        heaps: [],
      });
    },
  );
});

describe('more memory than there is', () => {
  expectNoLeaks();

  it.for(['dma-heap', 'udmabuf'] as const)(
    'is refused before the kernel kills processes for it: %s',
    async (type) => {
      const error = await refusal({ type, size: 2 ** 46 });
      expect(error).toMatchObject({ code: 'ENOMEM', syscall: 'allocate' });
      expect(error.message).toContain('MemAvailable');
    },
  );

  it('is given as host memory, which takes pages only where they are used', async () => {
    const size = Math.ceil((freemem() + 2 ** 32) / PAGE) * PAGE;
    await using memory = await DmaBuf.allocate({ type: 'host', size });
    expect(memory.size).toBe(size);
  });
});

const huge = (await probe('host')).hugePages;
const known = huge[0];

describe('huge pages', () => {
  expectNoLeaks();

  itWhere(known?.free === 0, 'huge pages are free, or unknown, here')(
    'are said to be too few, with how to reserve more',
    async () => {
      const error = await refusal({
        type: 'host',
        size: known!.pageBytes,
        hugePages: known!.size,
      });
      expect(error).toMatchObject({ code: 'ENOSPC', syscall: 'fallocate' });
      expect(error.message).toContain(`1 free huge pages of ${known!.size} are needed`);
      const wanted = known!.total + 1;
      const file = `/sys/kernel/mm/hugepages/hugepages-${known!.pageBytes / 1024}kB/nr_hugepages`;
      expect(error.message).toContain(`echo ${wanted} > ${file}`);
    },
  );

  itWhere(known !== undefined, 'this kernel tells of no huge pages')(
    'have a size of this machine, and memory is a multiple of it',
    async () => {
      const sizes = huge.map((each) => each.size);
      const other = (['4M', '16G', '64K'] as const).find((each) => !sizes.includes(each))!;
      const error = await refusal({ type: 'host', size: 2 ** 35, hugePages: other });
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
      expect(error.message).toContain(`one of '${sizes.join("', '")}'`);
      const size = known!.pageBytes + PAGE;
      const odd = await refusal({ type: 'host', size, hugePages: known!.size });
      expect(odd).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
      expect(odd.message).toContain(`a multiple of ${known!.pageBytes}`);
    },
  );
});

describe('importing', () => {
  expectNoLeaks();

  it('refuses a file that is no dma-buf, and says what it is', async () => {
    const fd = openSync('/dev/null', 'r');
    try {
      const error = await rejectionOf(DmaBuf.import({ fd }));
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
      expect(error.message).toContain(
        `"options.fd" must be a dma-buf or a memfd, and this is '/dev/null'`,
      );
    } finally {
      closeSync(fd);
    }
  });

  it('refuses a descriptor that is not open', async () => {
    const error = await rejectionOf(DmaBuf.import({ fd: 1_000_000 }));
    expect(error).toMatchObject({ code: 'EBADF' });
    expect(error.message).toContain('SCM_RIGHTS');
  });
});

describe('the CPU', () => {
  expectNoLeaks();

  it('writes what it then reads and sees', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    memory.write(SIZE - 3, Buffer.from('abc'));
    expect(memory.read(SIZE - 4, 4).toString('latin1')).toBe('\0abc');
    memory.cpuAccess(() => memory.map().set([65], 0), 'read-write');
    expect(memory.read(0, 1).toString()).toBe('A');
    memory.write(SIZE, new Uint8Array(0));
    memory.flush();
  });

  it.for([
    [-1, 1, 'offset'],
    [SIZE + 1, 0, 'offset'],
    [SIZE - 1, 2, 'bytes.length'],
  ] as const)('does not write outside: %d, %d bytes', async ([offset, length, name]) => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    const error = thrownBy(() => memory.write(offset, new Uint8Array(length)));
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    expect(error.message).toContain(`"${name}"`);
  });

  it('refuses other access than it knows, and what is no bytes or function', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    const access = thrownBy(() => memory.cpuAccess(() => 1, 'execute' as 'read'));
    expect(access.message).toContain("one of 'read', 'write', 'read-write'");
    const callback = thrownBy(() => memory.cpuAccess(1 as unknown as () => void));
    expect(callback).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    const bytes = thrownBy(() => memory.write(0, 'text' as unknown as Uint8Array));
    expect(bytes).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  });

  it('is done with memory that was closed', async () => {
    const memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    await memory.close();
    for (const use of [() => memory.write(0, new Uint8Array(1)), () => memory.flush()]) {
      expect(thrownBy(use)).toMatchObject({ code: 'ERR_DEVMEM_CLOSED' });
    }
  });
});

describe('probeMemory()', () => {
  expectNoLeaks();

  it('tells of every type once, with a reason for what is missing', async () => {
    const probes = await probeMemory();
    expect(probes.map(({ type }) => type)).toEqual(['udmabuf', 'dma-heap', 'cuda', 'host']);
    for (const { available, reason, error } of probes) {
      expect(reason === undefined).toBe(available);
      expect(error?.message ?? reason).toBe(reason);
    }
    expect(probes.at(-1)).toMatchObject({ type: 'host', available: true });
  });
});
