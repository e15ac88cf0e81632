/** The broker as a process: who may have what, and its socket's life. */
import { once } from 'node:events';
import { chmodSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';

import { type BrokerOptions, startBroker } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { bindByBroker } from '../../dist/nic/broker/client.js';
import { GenericNetlink } from '../../dist/nic/netlink/generic.js';
import { BrokerProcess } from '../support/broker.js';
import { Child } from '../support/child.js';
import { itWhere } from '../support/conditions.js';
import { expectNoLeaks } from '../support/leaks.js';
import { memfd } from '../support/memfd.js';
import { rejectionOf } from '../support/thrown.js';
import { Folder } from '../support/unix.js';

const SIZE = 2 ** 20;
const NETDEV_CMD_BIND_RX = 13;

const canBind = await GenericNetlink.open('netdev').then(
  (netlink) => {
    using family = netlink;
    return family.commands.has(NETDEV_CMD_BIND_RX);
  },
  () => false,
);
const NO_BIND = 'this kernel has no netdev bind-rx: Linux 6.12 with CONFIG_NET_DEVMEM enables this';
const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;

/** Asks for a binding of a memfd, which is refused by someone at the latest because it is none. */
async function ask(
  socket: string,
  { interface: name = 'lo', queues = [0] }: { interface?: string; queues?: number[] } = {},
  signal?: AbortSignal,
): Promise<Error> {
  const file = memfd();
  const request = { interface: name, queues, size: SIZE, rxPageSize: undefined };
  try {
    return await rejectionOf(bindByBroker(socket, request, file.fd, signal));
  } finally {
    file.close();
  }
}

describe('a client of the broker', () => {
  expectNoLeaks();

  itWhere(canBind, NO_BIND)("gets the kernel's refusal as if it had asked itself", async () => {
    using folder = new Folder();
    const socket = folder.file('broker');
    await using broker = await BrokerProcess.start(socket, '--allow', 'lo:0-1');
    const error = await ask(socket, { queues: [0, 1] });
    expect(error).toMatchObject({ syscall: 'netdev bind-rx', name: 'Error' });
    expect((error as NodeJS.ErrnoException).errno).toBeLessThan(0);
    expect(error.message).toMatch(/^netdev bind-rx E[A-Z]+: .*\blo\b/);
    expect(error).toHaveProperty('hint');
    expect(broker.output).toContain(`user ${process.getuid!()}, process ${process.pid}`);
  });

  it('is told that there is no such interface where the broker is', async () => {
    using folder = new Folder();
    const socket = folder.file('broker');
    await using broker = await BrokerProcess.start(socket, '--allow', 'nosuch0');
    const error = await ask(socket, { interface: 'nosuch0' });
    expect(error).toMatchObject({ code: 'ENODEV', errno: -19, syscall: 'rtnetlink getlink' });
    expect(broker.output).toContain("no interface 'nosuch0'");
  });

  it('gets no interface and no queue that was not allowed', async () => {
    using folder = new Folder();
    const socket = folder.file('broker');
    await using broker = await BrokerProcess.start(socket, '--allow', 'eth1', '--allow', 'lo:2,3');
    const refused = { name: 'DevmemError', code: 'ERR_DEVMEM_BROKER_REFUSED' };
    const other = await ask(socket, { interface: 'eth0', queues: [2] });
    expect(other).toMatchObject(refused);
    expect(other.message).toContain('rx queue 2 of eth0');
    const queue = await ask(socket, { queues: [2, 4] });
    expect(queue).toMatchObject(refused);
    expect(queue.message).toContain('rx queue 4 of lo');
    expect(queue.message).toContain('--allow lo:4');
    await broker.said('refused', 2);
  });

  it('is served by its user or its group, where these are given', async () => {
    using folder = new Folder();
    const [uid, gid] = [process.getuid!(), process.getgid!()];
    const refused = { code: 'ERR_DEVMEM_BROKER_REFUSED' };
    const withOptions = async (...options: string[]): Promise<Error> => {
      const socket = folder.file(`broker${options.join('')}`);
      await using broker = await BrokerProcess.start(socket, '--allow', 'nosuch0', ...options);
      const error = await ask(socket, { interface: 'nosuch0' });
      await broker.said('refused');
      return error;
    };
    const served = { code: 'ENODEV' };
    expect(await withOptions('--allow-uid', String(uid))).toMatchObject(served);
    expect(await withOptions('--allow-gid', String(gid))).toMatchObject(served);
    expect(await withOptions('--allow-uid', '4242')).toMatchObject(refused);
    expect(await withOptions('--allow-gid', '4242')).toMatchObject(refused);
    const either = ['--allow-uid', '4242', '--allow-gid', String(gid)];
    expect(await withOptions(...either)).toMatchObject(served);
  });

  itWhere(isRoot, 'not root: run as root to enable this')(
    'of another user connects where mode and group let it',
    async () => {
      using folder = new Folder();
      chmodSync(folder.path, 0o755);
      const askAs = async (socket: string, gid: number): Promise<string> => {
        const { stdout, stderr } = await new Child('ask-broker', [socket], NOBODY, gid).outcome();
        expect(stderr).toBe('');
        return stdout.trim();
      };
      const start = (name: string, ...options: string[]): Promise<BrokerProcess> =>
        BrokerProcess.start(folder.file(name), '--allow', 'lo:0', ...options);

      await using closed = await start('closed');
      expect(lstatSync(folder.file('closed')).mode & 0o777).toBe(0o660);
      expect(await askAs(folder.file('closed'), NOBODY)).toContain('connect EACCES');
      expect(closed.output).not.toContain('refused');

      await using open = await start('open', '--mode', '0666');
      expect(await askAs(folder.file('open'), NOBODY)).toContain('queue 1 of lo');
      await open.said(`refused user ${NOBODY}`);

      await using grouped = await start('grouped', '--group', '4242');
      expect(lstatSync(folder.file('grouped')).gid).toBe(4242);
      expect(await askAs(folder.file('grouped'), 4242)).toContain('queue 1 of lo');
      await grouped.said(`refused user ${NOBODY}`);
      expect(await askAs(folder.file('grouped'), NOBODY)).toContain('connect EACCES');
    },
  );

  it('is told how to start a broker where there is none', async () => {
    using folder = new Folder();
    const socket = folder.file('none');
    const error = await ask(socket);
    expect(error).toMatchObject({ code: 'ENOENT', errno: -2, syscall: 'connect' });
    expect(error.message).toContain(`devmem-tcp broker --socket ${socket}`);
  });

  it('gives up when its signal says so, before and while it waits', async () => {
    using folder = new Folder();
    const socket = folder.file('silent');
    // Accepts and says nothing.
    const silent = net.createServer({ pauseOnConnect: true }).listen(socket);
    await once(silent, 'listening');
    const reason = new Error('changed my mind');
    expect(await ask(socket, {}, AbortSignal.abort(reason))).toBe(reason);
    const controller = new AbortController();
    const asked = ask(socket, {}, controller.signal);
    const [connection] = (await once(silent, 'connection')) as [net.Socket];
    controller.abort(reason);
    expect(await asked).toBe(reason);
    connection.destroy();
    silent.close();
    await once(silent, 'close');
  });

  it.for([
    ['nothing', Buffer.alloc(0), 'ERR_DEVMEM_BROKER_LOST'],
    ['half an answer', Buffer.from([0, 0, 0, 9, 123]), 'ERR_DEVMEM_BAD_MESSAGE'],
    ['no JSON', Buffer.from('\0\0\0\x01x'), 'ERR_DEVMEM_BAD_MESSAGE'],
    ['no answer', Buffer.from('\0\0\0\x02{}'), 'ERR_DEVMEM_BAD_MESSAGE'],
    ['an answer that never ends', Buffer.from([255, 255, 255, 255]), 'ERR_DEVMEM_BAD_MESSAGE'],
    ['an error without words', Buffer.from('\0\0\0\x0c{"error":{}}'), 'ERR_DEVMEM_BROKER_REFUSED'],
  ] as const)('is not confused by a broker that sends %s', async ([, bytes, code]) => {
    using folder = new Folder();
    const socket = folder.file('strange');
    const strange = net.createServer((connection) => {
      // Unread, it would never notice that its client is gone.
      connection.on('error', () => {}).resume();
      connection.end(bytes);
    });
    strange.listen(socket);
    await once(strange, 'listening');
    expect(await ask(socket)).toMatchObject({ name: 'DevmemError', code });
    strange.close();
    await once(strange, 'close');
  });
});

describe("the broker's socket", () => {
  it.for(['SIGTERM', 'SIGINT'] as const)('is gone after %s', async (signal) => {
    using folder = new Folder();
    const broker = await BrokerProcess.start(folder.file('broker'), '--allow', 'lo');
    expect(folder.names()).toEqual(['broker']);
    expect(await broker.end(signal)).toEqual([0, null]);
    expect(folder.names()).toEqual([]);
    expect(broker.output).toContain(signal);
  });

  it('of a broker that was killed is replaced', async () => {
    using folder = new Folder();
    const socket = folder.file('broker');
    const killed = await BrokerProcess.start(socket, '--allow', 'lo:7');
    await killed.end('SIGKILL');
    expect(folder.names()).toEqual(['broker']);
    const error = await ask(socket);
    expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' });
    expect(error.message).toContain('devmem-tcp broker');
    await using next = await BrokerProcess.start(socket, '--allow', 'lo:7');
    expect(await ask(socket)).toMatchObject({ code: 'ERR_DEVMEM_BROKER_REFUSED' });
    await next.said('refused');
    expect(folder.names()).toEqual(['broker']);
  });

  it('of a broker that lives is left alone', async () => {
    using folder = new Folder();
    const socket = folder.file('broker');
    await using first = await BrokerProcess.start(socket, '--allow', 'lo:7');
    const second = await BrokerProcess.fail('--socket', socket, '--allow', 'lo');
    expect(second.status).toBe(1);
    expect(second.output).toContain('EADDRINUSE');
    expect(second.output).toContain(socket);
    expect(await ask(socket)).toMatchObject({ code: 'ERR_DEVMEM_BROKER_REFUSED' });
    expect(first.output).not.toContain('error');
  });

  it('does not take the place of a file that is something else', async () => {
    using folder = new Folder();
    const file = folder.file('precious');
    writeFileSync(file, 'data');
    const { status, output } = await BrokerProcess.fail('--socket', file, '--allow', 'lo');
    expect(status).toBe(1);
    expect(output).toContain('is no socket');
    expect(lstatSync(file).size).toBe(4);
  });

  it('is taken away only while it is its own', async () => {
    using folder = new Folder();
    const socket = folder.file('broker');
    const broker = await startBroker({ socket, allow: [{ interface: 'lo' }] });
    rmSync(socket);
    await using other = await startBroker({ socket, allow: [{ interface: 'lo' }] });
    await broker.close();
    expect(folder.names()).toEqual(['broker']);
    await other.close();
    expect(folder.names()).toEqual([]);
  });
});

describe('devmem-tcp broker', () => {
  it.for([
    [['--allow', 'lo'], '--socket'],
    [['--socket', '/tmp/x'], '--allow'],
    [['--socket', '/tmp/x', '--allow', 'lo:2-'], "'2-'"],
    [['--socket', '/tmp/x', '--allow', 'lo:3-2'], "'3-2'"],
    [['--socket', '/tmp/x', '--allow', 'lo', '--mode', '888'], '--mode'],
    [['--socket', '/tmp/x', '--allow', 'lo', '--group', 'no such group'], 'no such group'],
    [['--socket', '/tmp/x', '--allow', 'lo', '--allow-uid', 'root'], '--allow-uid'],
    [['--socket', '/tmp/x', '--allow', 'lo', '--max-clients', '0x10'], '--max-clients'],
    [['--socket', '/tmp/x', '--allow', 'lo', '--max-clients', '0'], '--max-clients'],
    [['--socket', '/tmp/x', '--allow', 'lo', 'more'], "'more'"],
  ] as const)('does not start with %j, and says why', async ([args, why]) => {
    const { status, output } = await BrokerProcess.fail(...args);
    expect(status).toBe(64);
    expect(output).toContain(why);
  });

  it('says what is wrong with a path that is too long', async () => {
    using folder = new Folder();
    const { status, output } = await BrokerProcess.fail(
      ...['--socket', folder.file('x'.repeat(100)), '--allow', 'lo'],
    );
    expect(status).toBe(1);
    expect(output).toContain('at most');
    expect(folder.names()).toEqual([]);
  });

  it('says that it lacks the capability, where it does', async () => {
    using folder = new Folder();
    await using broker = await BrokerProcess.start(folder.file('broker'), '--allow', 'lo');
    const capable = isRoot && !/^CapEff:\s*0+$/m.test(status('self'));
    expect(broker.output.includes('without CAP_NET_ADMIN')).toBe(!capable);
  });
});

describe('startBroker()', () => {
  it.for([
    [{}, '"options.socket" argument must be a path, or { fd }. Received undefined'],
    [{ socket: {} }, '"options.socket.fd" argument must be a number.'],
    [{ socket: { fd: 0 }, mode: 0o600 }, '"options.mode" must be left out'],
    [{ socket: { fd: 0 }, group: 0 }, '"options.group" must be left out'],
    [{ socket: '/tmp/x' }, '"options.allow" argument must be an array of objects.'],
    [{ socket: '/tmp/x', allow: [] }, '"options.allow" must be one interface or more'],
    [{ socket: '/tmp/x', allow: ['lo'] }, '"options.allow[0]" argument must be an object.'],
    [{ socket: '/tmp/x', allow: [{}] }, '"options.allow[0].interface" argument must be a string.'],
    [
      { socket: '/tmp/x', allow: [{ interface: 'lo', queues: [-1] }] },
      '"options.allow[0].queues[0]" is out of range.',
    ],
    [{ socket: '/tmp/x', allow: [{ interface: 'lo' }], mode: 0o1777 }, '"options.mode"'],
    [{ socket: '/tmp/x', allow: [{ interface: 'lo' }], maxClients: 0 }, '"options.maxClients"'],
    [{ socket: '/tmp/x', allow: [{ interface: 'lo' }], allowUids: 0 }, '"options.allowUids"'],
  ] as const)('refuses %j', async ([options, message]) => {
    const error = await rejectionOf(
      startBroker(options as unknown as { socket: string; allow: [] }),
    );
    expect(error.message).toContain(message);
  });

  it.for([
    [{ maxClientsPerUser: 0 }, '"options.maxClientsPerUser"'],
    [{ maxClientsPerUser: 10_001 }, '"options.maxClientsPerUser"'],
    [{ maxClientsPerUser: '1' }, '"options.maxClientsPerUser"'],
  ] as const)('refuses %j', async ([limit, message]) => {
    const options = { socket: '/tmp/x', allow: [{ interface: 'lo' }], ...limit };
    const error = await rejectionOf(startBroker(options as unknown as BrokerOptions));
    expect(error.message).toContain(message);
  });

  it('goes on, forgets clients and closes, whatever its listeners throw', async () => {
    using folder = new Folder();
    const child = new Child('broker-listeners', [folder.file('broker')]);
    const { status, stdout, stderr } = await child.outcome();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const thrown = JSON.stringify([...new Array<string>(6).fill('refused'), 'close']);
    expect(stdout).toBe(`clients 0\nclosed\n${thrown}\n`);
  });

  it('leaves no descriptor behind', async () => {
    const open = (): number => readdirSync('/proc/self/fd').length;
    using folder = new Folder();
    const before = open();
    {
      await using broker = await startBroker({
        socket: folder.file('broker'),
        allow: [{ interface: 'lo', queues: [1] }],
      });
      for (let i = 0; i < 5; i++) await ask(broker.socket);
      await expect.poll(() => broker.clients).toBe(0);
    }
    await expect.poll(open).toBe(before);
  });
});

function status(pid: string): string {
  return readFileSync(`/proc/${pid}/status`, 'utf8');
}
