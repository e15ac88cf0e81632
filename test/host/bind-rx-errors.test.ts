import { bindRx, type BindRxOptions, DmaBuf } from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { checkDevmemMemory } from '../../dist/nic/memory-checks.js';
import { expectNoLeaks } from '../support/leaks.js';
import { rejectionOf } from '../support/thrown.js';

const SIZE = 2 ** 20;

describe('bindRx()', () => {
  let memory: DmaBuf;
  beforeAll(async () => {
    memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
  });
  afterAll(() => memory.close());
  expectNoLeaks();

  // Untyped callers pass anything.
  const refusal = (options: unknown): Promise<Error> =>
    rejectionOf(bindRx(options as BindRxOptions));
  const devmem = { interface: 'lo', queues: [0], mode: 'devmem' };

  it.for([undefined, null, 'eth0', []])('refuses the options %o', async (options) => {
    expect(await refusal(options)).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
      message: expect.stringContaining('The "options" argument must be an object.') as string,
    });
  });

  it.for([
    [
      { mode: 'fast' },
      `"options.mode" must be one of 'auto', 'devmem', 'copy'. Received type string ('fast')`,
    ],
    [
      { interface: '' },
      `"options.interface" must be an interface's name of 1 to 127 bytes. Received type string ('')`,
    ],
    [
      { interface: 'ü'.repeat(64) },
      `"options.interface" must be an interface's name of 1 to 127 bytes.`,
    ],
    [{ interface: 'a b' }, `"options.interface" must be an interface's name of 1 to 127 bytes.`],
    [{ interface: '..' }, `"options.interface" must be an interface's name of 1 to 127 bytes.`],
    [{ interface: 'lo:1' }, `"options.interface" must be an interface's name, without a colon`],
    [{ interface: 'a/b' }, `"options.interface" must be an interface's name of 1 to 127 bytes.`],
    [{ queues: [] }, `"options.queues" must be one queue or more. Received an instance of Array`],
    [{ queues: [3, 3] }, `"options.queues" must be distinct queues.`],
  ] as const)('refuses the value in %o', async ([wrong, message]) => {
    expect(await refusal({ ...devmem, memory, ...wrong })).toMatchObject({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringContaining(message) as string,
    });
  });

  it.for([
    [{ interface: 7 }, '"options.interface" argument must be a string. Received type number (7)'],
    [{ interface: undefined }, '"options.interface" argument must be a string. Received undefined'],
    [
      { queues: 14 },
      '"options.queues" argument must be an array of numbers. Received type number (14)',
    ],
    [
      { queues: undefined },
      '"options.queues" argument must be an array of numbers. Received undefined',
    ],
    [
      { queues: Object.assign(new Array(2), { 0: 0 }) },
      '"options.queues[1]" argument must be a number. Received undefined',
    ],
    [
      { queues: [0, '1'] },
      `"options.queues[1]" argument must be a number. Received type string ('1')`,
    ],
    [
      { memory: {} },
      '"options.memory" argument must be a DmaBuf, as DmaBuf.allocate() makes it. Received an instance of Object',
    ],
    [
      { memory: undefined },
      '"options.memory" argument must be a DmaBuf, as DmaBuf.allocate() makes it. Received undefined',
    ],
    [
      { heldLimit: '1M' },
      `"options.heldLimit" argument must be a number. Received type string ('1M')`,
    ],
  ] as const)('refuses the type in %o', async ([wrong, message]) => {
    expect(await refusal({ ...devmem, memory, ...wrong })).toMatchObject({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: expect.stringContaining(message) as string,
    });
  });

  it.for([
    [
      { queues: [-1] },
      '"options.queues[0]" is out of range. It must be an integer >= 0 and <= 65535. Received type number (-1)',
    ],
    [{ queues: [0, 65536] }, '"options.queues[1]" is out of range.'],
    [{ queues: [0.5] }, '"options.queues[0]" is out of range.'],
    [
      { heldLimit: 4095 },
      '"options.heldLimit" is out of range. It must be an integer >= 4096 and <= 1048576. Received type number (4095)',
    ],
    [{ heldLimit: SIZE + 1 }, '"options.heldLimit" is out of range.'],
    [{ stallWarningMs: 0 }, '"options.stallWarningMs" is out of range.'],
    [{ stallWarningMs: 2 ** 31 }, '"options.stallWarningMs" is out of range.'],
  ] as const)('refuses the range in %o', async ([wrong, message]) => {
    expect(await refusal({ ...devmem, memory, ...wrong })).toMatchObject({
      name: 'RangeError',
      code: 'ERR_OUT_OF_RANGE',
      message: expect.stringContaining(message) as string,
    });
  });

  it.for(['auto', 'copy'])(
    'refuses wrong arguments in mode %s too: no fallback hides them',
    async (mode) => {
      expect(await refusal({ memory, mode, interface: 'a b' })).toMatchObject({
        code: 'ERR_INVALID_ARG_VALUE',
      });
      expect(await refusal({ memory, mode, queues: [-1] })).toMatchObject({
        code: 'ERR_OUT_OF_RANGE',
      });
    },
  );

  it('says that there is no such interface, and which there are', async () => {
    const error = await refusal({ ...devmem, memory, interface: 'nope0' });
    expect(error).toMatchObject({
      code: 'ENODEV',
      errno: -19,
      syscall: 'rtnetlink getlink',
      hint: expect.stringContaining('lo') as string,
    });
    expect(error.message).toMatch(
      /^rtnetlink getlink ENODEV: no such device, no interface 'nope0'\. /,
    );
  });

  it('refuses host memory for devmem, and names the type that works', async () => {
    const error = await rejectionOf(checkDevmemMemory('eth1', memory));
    expect(error).toMatchObject({ name: 'DevmemError', code: 'ERR_DEVMEM_WRONG_MEMORY' });
    expect(error.message).toContain("'host'");
    expect(error.message).toContain("{ type: 'udmabuf' }");
  });

  it('refuses memory that was closed', async () => {
    const gone = await DmaBuf.allocate({ type: 'host', size: SIZE });
    await gone.close();
    for (const mode of ['auto', 'devmem', 'copy']) {
      expect(await refusal({ ...devmem, memory: gone, mode })).toMatchObject({
        code: 'ERR_DEVMEM_CLOSED',
      });
    }
  });
});
