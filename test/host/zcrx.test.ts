/** Receiving by io_uring, as far as it goes without a NIC: who is refused, and in which words. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { bindRx, DmaBuf } from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { native } from '../../dist/native.js';
import { ringError, tooLargeFor } from '../../dist/nic/zcrx/abilities.js';

import { expectNothingInherited, ownDescriptors } from '../support/inherited.js';
import { rejectionOf } from '../support/thrown.js';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const GIB = 2 ** 30;
const { EPERM, ENOSYS, EINVAL, ENOMEM } = constants.errno;

describe('an unusable argument', () => {
  let memory: DmaBuf;

  beforeAll(async () => {
    memory = await DmaBuf.allocate({ type: 'host', size: 65536 });
  });

  afterAll(() => memory.close());

  const refusal = (options: object): Promise<Error> =>
    rejectionOf(bindRx({ interface: 'lo', queues: [0], memory, ...options }));

  it.for(['uring', '', 1])('is a transport that there is not: %o', async (transport) => {
    const error = await refusal({ transport });
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(error.message).toContain("one of 'auto', 'cmsg', 'queue', 'zcrx'");
  });

  it('is a second queue, which could not have the same memory', async () => {
    const error = await refusal({ transport: 'zcrx', queues: [0, 1] });
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(error.message).toContain('options.queues');
    expect(error.message).toContain('call bindRx() for each');
  });

  it('is a broker, whose ring would be of no use here', async () => {
    const error = await refusal({ transport: 'zcrx', broker: '/run/broker.sock' });
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(error.message).toContain('options.broker');
  });

  it('is copying by io_uring', async () => {
    const error = await refusal({ transport: 'zcrx', mode: 'copy' });
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(error.message).toContain('options.transport');
  });
});

it('a transport that is not io_uring makes no difference for copying', async () => {
  await using memory = await DmaBuf.allocate({ type: 'host', size: 65536 });
  for (const transport of ['auto', 'cmsg', 'queue'] as const) {
    await using binding = await bindRx({ memory, mode: 'copy', transport });
    expect(binding.transport).toBe('copy');
  }
});

describe('a refused ring', () => {
  it.for([
    [EPERM, 'EPERM', /seccomp filter|io_uring is disabled|io_uring_group/],
    [ENOSYS, 'ENOSYS', /no io_uring, or a seccomp filter hides it/],
    [ENOMEM, 'ENOMEM', /limit of locked memory.*ulimit -l/],
    [EINVAL, 'ENOTSUP', /has no zero-copy receive.*Linux 6\.19/],
  ] as const)('of error %i is %s, in words', ([errno, code, words]) => {
    const error = ringError(-errno, 'io_uring_setup');
    expect(error).toMatchObject({ code, syscall: 'io_uring_setup' });
    expect(error.message).toMatch(words);
  });

  it.for([
    ['EPERM', EPERM],
    ['ENOSYS', ENOSYS],
  ] as const)('by a filter that says %s is told, and copying serves', ([code, errno]) => {
    const library = buildFilter();
    const child = path.join(HERE, 'children/zcrx-refused.mjs');
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--no-warnings', child], {
      encoding: 'utf8',
      env: {
        ...process.env,
        // Behind those that have to come first, as sanitizers do.
        LD_PRELOAD: [process.env.LD_PRELOAD ?? '', library].join(' ').trim(),
        IO_URING_ERRNO: String(errno),
      },
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const [told, transport] = stdout.trim().split('\n');
    const error = JSON.parse(told!) as { code: string; syscall: string; message: string };
    expect(error).toMatchObject({ code, syscall: 'io_uring_register(QUERY)' });
    expect(error.message).toMatch(/seccomp|io_uring_disabled/);
    expect(transport).toBe('copy');
  });
});

/** Compiles what has io_uring's calls refused. */
function buildFilter(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const library = path.join(folder, 'refuse.so');
  const source = path.join(HERE, 'zcrx/refuse.c');
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source]);
  return library;
}

describe('the ring, where this machine lets it be made', () => {
  // Those of libuv's own, too, where it has some.
  const rings = (): number =>
    ownDescriptors().filter(({ target }) => target === 'anon_inode:[io_uring]').length;

  it('is not inherited by a program that is started meanwhile', async () => {
    const before = ownDescriptors();
    const others = rings();
    const queue = new (native().ZcrxQueue)(() => {});
    const status = queue.open();
    if (status === 0) expect(rings()).toBe(others + 1);
    else expect([-EPERM, -ENOSYS, -EINVAL]).toContain(status);
    await expectNothingInherited(before, []);
    queue.close();
    expect(rings()).toBe(others);
  });
});

describe('memory beyond 4 GiB', () => {
  it.for(['6.19.2', '7.0.1-cloud', '7.2.13+deb13-cloud-amd64', '7.3.2', '7.3'])(
    'is refused by the rules of Linux %s',
    (kernel) => {
      expect(tooLargeFor(kernel, 4 * GIB)).toBeUndefined();
      expect(tooLargeFor(kernel, 4 * GIB + 4096)).toContain('4 GiB at most');
    },
  );

  it.for(['7.3.3', '7.3.4+deb13-cloud-amd64', '7.4.0-rc1', '8.0'])(
    'is none too many for Linux %s',
    (kernel) => {
      expect(tooLargeFor(kernel, 64 * GIB)).toBeUndefined();
    },
  );
});
