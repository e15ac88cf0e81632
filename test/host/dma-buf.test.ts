import { constants } from 'node:buffer';
import { existsSync, readFileSync } from 'node:fs';

import { type AllocateOptions, bindRx, DmaBuf } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { Child } from '../support/child.js';
import { itWhere } from '../support/conditions.js';
import { expectNoLeaks } from '../support/leaks.js';
import { rejectionOf, thrownBy } from '../support/thrown.js';

const SIZE = 64 * 1024;
const { MAX_LENGTH } = constants;
const hasUdmabuf = existsSync('/dev/udmabuf');

/** What comes of mapping and reading so much, in a process of its own. */
async function mapHuge(size: number): Promise<Record<string, unknown>> {
  const { status, signal, stdout, stderr } = await new Child('map-huge', [size]).outcome();
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('DmaBuf.allocate()', () => {
  expectNoLeaks();

  const refusal = (options: unknown): Promise<Error> =>
    rejectionOf(DmaBuf.allocate(options as AllocateOptions));

  it.for([
    [0, 'an integer >= 65536 and <= 70368744177664'],
    [-4096, 'an integer >= 65536'],
    [61_440, 'an integer >= 65536'],
    [SIZE + 0.5, 'an integer >= 65536'],
    [NaN, 'an integer >= 65536'],
    [Infinity, 'an integer >= 65536'],
    [2 ** 47, 'an integer >= 65536'],
    [SIZE + 1, 'a multiple of 4096'],
    [SIZE + 2048, 'a multiple of 4096'],
  ] as const)('refuses %d bytes: it must be %s', async ([size, range]) => {
    const error = await refusal({ type: 'host', size });
    expect(error).toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
    expect(error.message).toContain(`"options.size" is out of range. It must be ${range}`);
    expect(error.message).toContain(`Received type number (${size})`);
  });

  it.for(['64K', 65536n, null, undefined])('refuses the size %o', async (size) => {
    expect(await refusal({ size })).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  });

  it.for(['vram', '', 1])('refuses the type %o and lists those that there are', async (type) => {
    const error = await refusal({ type, size: SIZE });
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(error.message).toContain(
      `"options.type" must be one of 'auto', 'udmabuf', 'dma-heap', 'cuda', 'host'.`,
    );
  });

  it.for([undefined, null, SIZE])('refuses the options %o', async (options) => {
    expect(await refusal(options)).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  });

  it('gives host memory of the size, all zeros', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    expect(memory).toMatchObject({ type: 'host', size: SIZE, isDmaBuf: false, closed: false });
    expect(memory.map()).toEqual(new Uint8Array(SIZE));
  });

  const itWithout = itWhere(
    !hasUdmabuf,
    "/dev/udmabuf is here: 'modprobe -r udmabuf', or a kernel without it, enables this",
  );

  itWithout('says how to get /dev/udmabuf where it is missing', async () => {
    const error = await refusal({ type: 'udmabuf', size: SIZE });
    expect(error).toMatchObject({
      code: 'ENOENT',
      errno: -2,
      syscall: 'open',
      hint: expect.stringContaining('modprobe udmabuf') as string,
    });
    expect(error.message).toContain('/dev/udmabuf');
  });

  itWithout('gives host memory by default where /dev/udmabuf is missing', async () => {
    await using memory = await DmaBuf.allocate({ size: SIZE });
    expect(memory.type).toBe('host');
  });

  itWhere(hasUdmabuf, "no /dev/udmabuf: 'modprobe udmabuf' enables this")(
    'gives a dma-buf by default where it can',
    async () => {
      await using memory = await DmaBuf.allocate({ size: SIZE });
      expect(memory).toMatchObject({ type: 'udmabuf', isDmaBuf: true });
    },
  );
});

describe('memory', () => {
  expectNoLeaks();

  it('is mapped once: the same array at each call', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    expect(memory.map().buffer).toBe(memory.map().buffer);
    expect(memory.map() === memory.map()).toBe(true);
  });

  it('is read as it is mapped, and what is read is a copy', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    const view = memory.map();
    view.set([1, 2, 3], 100);
    const copy = memory.read(99, 5);
    view.fill(9);
    expect([...copy]).toEqual([0, 1, 2, 3, 0]);
    expect(memory.read(SIZE, 0)).toHaveLength(0);
    expect([...memory.read(SIZE - 1, 1)]).toEqual([9]);
  });

  it.for([
    [-1, 1, 'offset'],
    [SIZE + 1, 0, 'offset'],
    [0, SIZE + 1, 'size'],
    [SIZE, 1, 'size'],
    [0, 0.5, 'size'],
  ] as const)('is not read outside: %d, %d', async ([offset, size, name]) => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    const error = thrownBy(() => memory.read(offset, size));
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    expect(error.message).toContain(`"${name}"`);
  });

  it('gives the result of what runs in cpuAccess(), or its exception', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    expect(memory.cpuAccess(() => 42)).toBe(42);
    const thrown = new Error('inside');
    const error = thrownBy(() =>
      memory.cpuAccess(() => {
        throw thrown;
      }),
    );
    expect(error).toBe(thrown);
  });
});

describe('memory larger than an ArrayBuffer can be', () => {
  const size = MAX_LENGTH + 4096;
  const itWithLimit = itWhere(
    size < 2 ** 46,
    `this Node.js maps all that can be allocated: one whose buffer.constants.MAX_LENGTH is less, such as Node.js 20, enables this`,
  );

  itWithLimit('is not mapped, and the error says what can be done', async () => {
    const { map, native, again } = await mapHuge(size);
    expect(map).toMatchObject({ name: 'DevmemError', code: 'ERR_DEVMEM_NOT_MAPPABLE' });
    const { message } = map as { message: string };
    expect(message).toContain(`${size} bytes`);
    expect(message).toContain(`${MAX_LENGTH} at most`);
    expect(message).toContain('read()');
    // Below the check: the engine's own refusal, whose clean-up is not done twice.
    for (const below of [native, again])
      expect(below).toMatchObject({ code: 'ERR_BUFFER_TOO_LARGE' });
  });

  itWithLimit('is read in parts', async () => {
    const { read, last } = await mapHuge(size);
    expect(read).toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
    expect((read as { message: string }).message).toContain('Read it in parts');
    expect(last).toBe(8);
  });
});

const overcommits = readFileSync('/proc/sys/vm/overcommit_memory', 'utf8').trim() === '1';

itWhere(!overcommits, 'vm.overcommit_memory is 1: 0 or 2 enables this')(
  'memory of which no copy fits is read in parts',
  async () => {
    const { read, last } = await mapHuge(2 ** 44);
    expect((read as { message: string }).message).toContain('Read it in parts');
    expect((read as { code: string }).code).toMatch(/^(ENOMEM|ERR_OUT_OF_RANGE)$/);
    expect(last).toBe(8);
  },
);

describe('memory that was closed', () => {
  expectNoLeaks();

  it.for([
    ['fd', (memory: DmaBuf) => memory.fd],
    ['map()', (memory: DmaBuf) => memory.map()],
    ['read()', (memory: DmaBuf) => memory.read(0, 1)],
    ['cpuAccess()', (memory: DmaBuf) => memory.cpuAccess(() => 1)],
  ] as const)('throws from %s', async ([, use]) => {
    const memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    await memory.close();
    expect(memory.closed).toBe(true);
    expect(thrownBy(() => use(memory))).toMatchObject({ code: 'ERR_DEVMEM_CLOSED' });
  });

  it('closes a second time without effect', async () => {
    const memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    await memory.close();
    await memory.close();
    expect(memory.closed).toBe(true);
  });

  it('stays readable through an array of map()', async () => {
    const memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    const view = memory.map();
    view.set([7, 8, 9]);
    await memory.close();
    expect([...view.subarray(0, 4)]).toEqual([7, 8, 9, 0]);
    view[3] = 10;
    expect(view[3]).toBe(10);
  });
});

describe('a binding that was closed', () => {
  expectNoLeaks();

  it('says so, and closes a second time without effect', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    const binding = await bindRx({ memory, mode: 'copy' });
    expect(binding.closed).toBe(false);
    await binding.close();
    await binding.close();
    expect(binding.closed).toBe(true);
  });
});
