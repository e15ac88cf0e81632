/** What a binding knows of its interface, its queues and its pages. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';

import {
  type Binding,
  bindRx,
  createServer,
  DmaBuf,
  type InterfaceMessage,
} from '../../dist/index.js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { systemError } from '../../dist/errors.js';
import { NetdevNetlink } from '../../dist/nic/netlink/netdev.js';
import { letGo, type StillFilled } from '../../dist/nic/unbinding.js';
import { Recorder } from '../support/diagnostics.js';
import { bindUnbound } from '../support/internals.js';
import { becomes } from './support/bound.js';
import { ADDRESS, INTERFACE, run, setInterfaceUp, steerToQueues } from './support/guest.js';
import { startSender } from './support/transfer.js';

const MiB = 2 ** 20;
const ELSEWHERE = 'elsewhere';

let memory: DmaBuf;
let binding: Binding;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  return steerToQueues(1, 1);
});

beforeEach(async () => {
  binding = await bindRx({ interface: INTERFACE, queues: [1, 2], memory, mode: 'devmem' });
  return () => binding.close();
});

afterAll(() => memory.close());

describe('a binding', () => {
  it('lists its rx queues and page pools, and none but its own', async () => {
    await using otherMemory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
    const options = { interface: INTERFACE, memory: otherMemory, mode: 'devmem' } as const;
    await using other = await bindRx({ ...options, queues: [3] });
    const index = Number(run('cat', `/sys/class/net/${INTERFACE}/ifindex`));
    expect(binding.interfaceIndex).toBe(index);
    const queues = await binding.rxQueues();
    expect(queues.map((queue) => queue.id)).toEqual([1, 2]);
    for (const queue of queues) expect(queue).toMatchObject({ dmabufId: binding.id });
    const pools = await binding.pagePools();
    expect(pools).toHaveLength(2);
    for (const pool of pools) {
      expect(pool).toMatchObject({
        dmabufId: binding.id,
        interfaceIndex: index,
        detached: false,
      });
    }
    expect((await other.rxQueues()).map((queue) => queue.id)).toEqual([3]);
  });

  it('has no rx queue any more once it is closed', async () => {
    await binding.close();
    expect(await binding.rxQueues()).toEqual([]);
  });

  it('tells when its interface goes down and up, and survives it', async () => {
    using channel = new Recorder<InterfaceMessage>('devmem-tcp:interface');
    const down = becomes(binding, 'down');
    run('ip', 'link', 'set', INTERFACE, 'down');
    const expected = {
      bindingId: binding.id,
      interface: INTERFACE,
      interfaceIndex: binding.interfaceIndex,
    };
    expect(await down).toEqual({ ...expected, state: 'down', carrier: false });
    const up = becomes(binding, 'up');
    setInterfaceUp();
    expect(await up).toMatchObject({ ...expected, state: 'up' });
    expect(channel.messages.map((message) => message.state).slice(0, 2)).toEqual(['down', 'up']);
    expect((await binding.rxQueues()).map((queue) => queue.id)).toEqual([1, 2]);
  });

  it('tells when its interface moves to another namespace, and when it is back', async () => {
    run('ip', 'netns', 'add', ELSEWHERE);
    try {
      const gone = becomes(binding, 'gone');
      run('ip', 'link', 'set', INTERFACE, 'netns', ELSEWHERE);
      expect(await gone).toMatchObject({ interface: INTERFACE, state: 'gone', carrier: false });
      expect(await binding.rxQueues()).toEqual([]);
      const up = becomes(binding, 'up');
      run('ip', '-n', ELSEWHERE, 'link', 'set', INTERFACE, 'netns', String(process.pid));
      setInterfaceUp();
      await up;
      expect((await binding.rxQueues()).map((queue) => queue.id)).toEqual([1, 2]);
    } finally {
      run('ip', 'netns', 'delete', ELSEWHERE);
    }
  });

  it('says nothing of changes that are none of its interface, and nothing once closed', async () => {
    const messages: InterfaceMessage[] = [];
    binding.on('interface', (message) => messages.push(message));
    run('ip', 'link', 'set', INTERFACE, 'mtu', '1400');
    run('ip', 'link', 'add', 'other0', 'type', 'dummy');
    run('ip', 'link', 'set', 'other0', 'up');
    run('ip', 'link', 'delete', 'other0');
    run('ip', 'link', 'set', INTERFACE, 'mtu', '1500');
    const down = becomes(binding, 'down');
    run('ip', 'link', 'set', INTERFACE, 'down');
    await down;
    expect(messages.map((message) => message.state)).toEqual(['down']);
    await binding.close();
    setInterfaceUp();
    await using next = await bindRx({
      interface: INTERFACE,
      queues: [1],
      memory,
      mode: 'devmem',
    });
    expect(next.closed).toBe(false);
    expect(messages).toHaveLength(1);
  });

  it('does not keep its process alive', async () => {
    const script = `
      import { bindRx, DmaBuf } from 'devmem-tcp';
      const memory = await DmaBuf.allocate({ type: 'udmabuf', size: ${16 * MiB} });
      const options = { interface: '${INTERFACE}', queues: [3], memory, mode: 'devmem' };
      const binding = await bindRx(options);
      binding.on('interface', () => {});
      console.log(binding.queues.length);
    `;
    const node = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(node).toMatchObject({ status: 0, signal: null, stdout: '1\n' });
  });
});

describe('rx pages', () => {
  const options = { interface: INTERFACE, queues: [1], mode: 'devmem' } as const;

  it('of a given size are refused by a kernel that does not know of them, else taken', async () => {
    using netdev = await NetdevNetlink.open();
    const known = await netdev.takesRxPageSize();
    const [major] = run('uname', '-r').split('.').map(Number);
    expect(known).toBe(major! >= 7);
    await binding.close();
    const bound = bindRx({ ...options, memory, rxPageSize: 4096 });
    if (known) {
      await using sized = await bound;
      expect(sized.rxPageSize).toBe(4096);
    } else {
      await expect(bound).rejects.toMatchObject({
        errno: -95,
        syscall: 'netdev bind-rx',
        message: expect.stringContaining('this kernel cannot bind with rx pages') as string,
      });
    }
  });

  it('that cannot be are refused with their size', async () => {
    await binding.close();
    const error = await bindRx({ ...options, memory, rxPageSize: 16384 }).catch(
      (reason: unknown) => reason as Error,
    );
    if (!(error instanceof Error)) {
      await error.close();
      throw new Error('bindRx() succeeded');
    }
    expect(error).toMatchObject({ syscall: 'netdev bind-rx' });
    expect(error.message).toContain('16384 bytes');
    expect(error).toHaveProperty('hint');
  });

  // The NIC fills pages of 4096 bytes here; what is counted follows what was asked for.
  it('are what fragments are counted in', async () => {
    await binding.close();
    using netdev = await NetdevNetlink.open();
    const { id, errno } = await netdev.bindRx(binding.interfaceIndex!, [1], memory.fd);
    expect(errno).toBe(0);
    const page = 64 * 1024;
    const limit = 64 * page;
    const large = bindUnbound(memory, {
      id: id!,
      interface: INTERFACE,
      queues: [1],
      heldLimit: limit,
      stallWarningMs: Infinity,
      ringBytes: 0,
      rxPageSize: page,
    });
    let fragments = 0;
    let expected = 0;
    let held = 0;
    await using server = createServer({ binding: large }, async (socket) => {
      for await (const fragment of socket) {
        fragments++;
        const { offset = NaN, size } = fragment;
        const pages = Math.floor((offset + size - 1) / page) - Math.floor(offset / page) + 1;
        expected += pages * page;
        if (large.heldBytes > held) held = large.heldBytes;
        expect(large.heldBytes).toBeGreaterThanOrEqual(page);
        expect(large.heldBytes % page).toBe(0);
        fragment.release();
      }
    });
    const { port } = await server.listen({ host: ADDRESS.IPv4 });
    const connection = once(server, 'connection');
    const sender = startSender(ADDRESS.IPv4, port, 4 * MiB);
    const [socket] = (await connection) as [{ once(event: string, done: () => void): void }];
    await Promise.all([
      once(sender, 'exit'),
      new Promise<void>((resolve) => {
        socket.once('close', resolve);
      }),
    ]);
    expect(fragments).toBeGreaterThan(0);
    expect(expected).toBeGreaterThanOrEqual(fragments * page);
    expect(held).toBeLessThanOrEqual(limit);
    expect(large.heldBytes).toBe(0);
    await large.close();
  });
});

describe('a queue that goes on with what was unbound', () => {
  /** Of a queue that nobody has bound. */
  const letGoOfFree = (stillFilled: StillFilled): Promise<void> =>
    letGo(
      {
        interface: INTERFACE,
        interfaceIndex: binding.interfaceIndex!,
        queues: [3],
        ringBytes: 2 ** 20,
      },
      stillFilled,
    );

  /** The kernel counts bindings. */
  async function bindingsMade(action: () => Promise<void>): Promise<number> {
    await binding.close();
    await action();
    const next = await bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'devmem' });
    await next.close();
    return next.id - binding.id - 1;
  }

  it('has other memory bound to it, until it lets go', async () => {
    let asked = 0;
    const made = await bindingsMade(() => letGoOfFree(() => Promise.resolve(++asked < 3)));
    expect({ asked, made }).toEqual({ asked: 3, made: 2 });
  });

  it('is told of where it never does', async () => {
    await expect(letGoOfFree(() => Promise.resolve(true))).rejects.toMatchObject({
      code: 'ERR_DEVMEM_STILL_BOUND',
      message: expect.stringContaining(`${INTERFACE}, queue 3`) as string,
    });
  });

  it('is asked about again where the kernel has no memory to tell, and not displaced', async () => {
    let asked = 0;
    const shortOnce: StillFilled = () => {
      if (++asked === 1) throw systemError(-12, 'netdev page-pool-get');
      return Promise.resolve(false);
    };
    const made = await bindingsMade(() => letGoOfFree(shortOnce));
    expect({ asked, made }).toEqual({ asked: 2, made: 0 });
  });
});
