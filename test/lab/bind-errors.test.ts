/** What a binding that cannot be says about it. */
import { execFileSync } from 'node:child_process';

import { bindRx, DmaBuf, type SystemError } from 'devmem-tcp';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { INTERFACE, run, rxQueues, setHeaderSplit } from './support/guest.js';

const MiB = 2 ** 20;

let memory: DmaBuf;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
});

afterAll(() => memory.close());

/** The error with which a binding is refused. */
async function refusal(
  queues: number[],
  options: { interface?: string; memory?: DmaBuf } = {},
): Promise<SystemError> {
  const binding = await bindRx({
    interface: INTERFACE,
    memory,
    ...options,
    queues,
    mode: 'devmem',
  }).catch((error: unknown) => error as SystemError);
  if (binding instanceof Error) return binding;
  await binding.close();
  throw new Error('bindRx() succeeded');
}

it('names the interfaces that there are when there is no such one', async () => {
  const error = await refusal([0], { interface: 'nosuch0' });
  expect(error).toMatchObject({ code: 'ENODEV', errno: -19, syscall: 'rtnetlink getlink' });
  expect(error.message).toContain("no interface 'nosuch0'");
  expect(error.message).toContain(INTERFACE);
});

it('names the queues that there are when there is no such one', async () => {
  const last = rxQueues().at(-1)!;
  const error = await refusal([last, last + 1]);
  expect(error.syscall).toBe('netdev bind-rx');
  expect(error.code).toBe('ERANGE');
  expect(error.message).toContain(`${INTERFACE} has no rx queue ${last + 1}`);
  expect(error.hint).toContain(`0 to ${last}`);
});

it('tells to turn header split on where it is off', async () => {
  await setHeaderSplit(false);
  try {
    const error = await refusal([1]);
    expect(error.syscall).toBe('netdev bind-rx');
    expect(['ENODATA', 'EINVAL']).toContain(error.code);
    expect(error.message).toContain('header split is off');
    expect(error.hint).toContain(`ethtool -G ${INTERFACE} tcp-data-split on`);
  } finally {
    await setHeaderSplit(true);
  }
});

it("names the binding that has a queue, and passes the kernel's own words on", async () => {
  await using first = await bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'devmem' });
  await using other = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  const error = await refusal([1, 2], { memory: other });
  expect(error).toMatchObject({ code: 'EEXIST', errno: -17, syscall: 'netdev bind-rx' });
  expect(error.message).toContain(`rx queue 1 (binding ${first.id})`);
  expect(error.kernelMessage).toMatch(/\w/);
  expect(error.message).toContain(error.kernelMessage);
});

it('leaves no queue bound when one of several cannot be', async () => {
  const last = rxQueues().at(-1)!;
  await refusal([1, last + 1]);
  await using binding = await bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'devmem' });
  expect(binding.queues).toEqual([1]);
});

it('refuses memory that the receive rings alone would use up', async () => {
  await using small = await DmaBuf.allocate({ type: 'udmabuf', size: 256 * 1024 });
  await expect(refusal([0, 1], { memory: small })).resolves.toMatchObject({
    code: 'ERR_DEVMEM_MEMORY_TOO_SMALL',
  });
});

it('refuses host memory, which no NIC can receive into', async () => {
  await using host = await DmaBuf.allocate({ type: 'host', size: 16 * MiB });
  await expect(refusal([1], { memory: host })).resolves.toMatchObject({
    code: 'ERR_DEVMEM_WRONG_MEMORY',
  });
});

it('asks for CAP_NET_ADMIN where it is missing', () => {
  const script = `
    import { bindRx, DmaBuf } from 'devmem-tcp';
    const memory = await DmaBuf.allocate({ type: 'udmabuf', size: ${16 * MiB} });
    const options = { interface: '${INTERFACE}', queues: [1], memory, mode: 'devmem' };
    const { code, errno, syscall, message } = await bindRx(options).catch((error) => error);
    console.log(JSON.stringify({ code, errno, syscall, message }));
  `;
  const node = [process.execPath, '--input-type=module', '--eval', script];
  const output = execFileSync('setpriv', ['--bounding-set', '-net_admin', ...node], {
    encoding: 'utf8',
  });
  const error = JSON.parse(output) as SystemError;
  expect(error).toMatchObject({ code: 'EPERM', errno: -1, syscall: 'netdev bind-rx' });
  expect(error.message).toContain('CAP_NET_ADMIN');
  expect(error.message).toContain('setcap');
});

it('says which memory is too large for udmabuf, and how to raise the limit', async () => {
  const limit = Number(run('cat', '/sys/module/udmabuf/parameters/size_limit_mb'));
  const error = (await DmaBuf.allocate({ type: 'udmabuf', size: (limit + 1) * MiB }).catch(
    (reason: unknown) => reason,
  )) as SystemError;
  expect(error).toMatchObject({ code: 'EINVAL', syscall: 'ioctl(UDMABUF_CREATE)' });
  expect(error.message).toContain(`size_limit_mb ${limit}`);
  expect(error.hint).toContain(`echo ${limit + 1} > /sys/module/udmabuf/parameters/size_limit_mb`);
});

it('falls back to copying in auto mode, and says why', async () => {
  await setHeaderSplit(false);
  try {
    await using binding = await bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'auto' });
    expect(binding.transport).toBe('copy');
    expect(binding.fallback?.message).toContain('header split is off');
  } finally {
    await setHeaderSplit(true);
  }
});

it('does not copy for who names a queue or an interface that is not there', async () => {
  const options = { memory, mode: 'auto' } as const;
  const queue = bindRx({ ...options, interface: INTERFACE, queues: [99] });
  await expect(queue).rejects.toMatchObject({ code: 'ERANGE' });
  await expect(queue).rejects.toThrow('no rx queue 99');
  const other = bindRx({ ...options, interface: 'nosuch0', queues: [1] });
  await expect(other).rejects.toMatchObject({ code: 'ENODEV' });
});
