/** The file at which a broker listens: whose place it takes, and what it leaves alone. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';

import { startBroker } from 'devmem-tcp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Directory } from '../../dist/ipc/directory.js';
import { itWhere } from '../support/conditions.js';
import { hasPython, NO_PYTHON } from '../support/stranger.js';
import { rejectionOf } from '../support/thrown.js';
import { connectUnix, Folder } from '../support/unix.js';

const allow = [{ interface: 'lo' }] as const;
const IN_USE = { code: 'EADDRINUSE', syscall: 'bind' };

let folder: Folder;
let socket: string;

beforeEach(() => {
  folder = new Folder();
  socket = folder.file('broker');
});

afterEach(() => {
  folder[Symbol.dispose]();
});

const inode = (file: string): number => lstatSync(file).ino;

/** A process that has bound a socket of its own to the path, and done more with it. */
class Owner implements AsyncDisposable {
  readonly #process;

  private constructor(type: string, more: string, namespaces: readonly string[]) {
    const program = `
import socket, sys
own = socket.socket(socket.AF_UNIX, socket.SOCK_${type})
own.bind(sys.argv[1])
${more}
print('bound', flush=True)
sys.stdin.read()
`;
    const [command, ...args] = [...namespaces, 'python3', '-c', program, socket];
    this.#process = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  }

  static async start(type: string, more = '', namespaces: readonly string[] = []): Promise<Owner> {
    const owner = new Owner(type, more, namespaces);
    await once(owner.#process.stdout, 'data');
    return owner;
  }

  get running(): boolean {
    return this.#process.exitCode === null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.#process, 'exit');
    this.#process.stdin.end();
    await exit;
  }
}

const itHasOwners = itWhere(hasPython, NO_PYTHON);
const inNetwork = process.getuid?.() === 0 ? ['unshare', '-n'] : ['unshare', '-rn'];
const hasNetworks = spawnSync(inNetwork[0]!, [inNetwork[1]!, 'true']).status === 0;

describe('the place of a socket', () => {
  for (const [what, type, more] of [
    ['that does not listen yet', 'STREAM', ''],
    ['that listens, and was shut', 'STREAM', 'own.listen(); own.shutdown(socket.SHUT_RDWR)'],
    [
      'that listens, and is full',
      'STREAM',
      'own.listen(0); c = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]\n[each.setblocking(False) for each in c]\n[each.connect_ex(sys.argv[1]) for each in c]',
    ],
    ['for datagrams', 'DGRAM', ''],
    ['for packets', 'SEQPACKET', ''],
  ] as const) {
    itHasOwners(`${what} is not taken`, async () => {
      await using owner = await Owner.start(type, more);
      const before = inode(socket);
      expect(await rejectionOf(startBroker({ socket, allow }))).toMatchObject(IN_USE);
      expect(inode(socket)).toBe(before);
      expect(folder.names()).toEqual(['broker']);
      expect(owner.running).toBe(true);
    });
  }

  itWhere(hasPython && hasNetworks, 'no python3, or no network namespaces')(
    'of another network namespace is not taken',
    async () => {
      await using owner = await Owner.start('STREAM', '', inNetwork);
      const error = await rejectionOf(startBroker({ socket, allow }));
      expect(error).toMatchObject(IN_USE);
      expect(error.message).toContain(socket);
      expect(owner.running).toBe(true);
    },
  );

  itHasOwners('that nobody has any more is taken, whatever its type', async () => {
    for (const type of ['STREAM', 'DGRAM', 'SEQPACKET']) {
      await (await Owner.start(type))[Symbol.asyncDispose]();
      expect(existsSync(socket)).toBe(true);
      await using broker = await startBroker({ socket, allow });
      const client = await connectUnix(broker.socket);
      client.destroy();
    }
  });

  it('is not taken where a link leads to one', async () => {
    const other = folder.file('other');
    const server = net.createServer().listen(other);
    await once(server, 'listening');
    symlinkSync(other, socket);
    const error = await rejectionOf(startBroker({ socket, allow }));
    expect(error).toMatchObject({ code: 'EEXIST' });
    expect(readlinkSync(socket)).toBe(other);
    server.close();
  });
});

it.for(['', '/', 'a\0b'])('%j is no place for a socket', async (odd) => {
  const error = await rejectionOf(startBroker({ socket: odd, allow }));
  expect(error).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
  expect(error.message).toContain('"options.socket" must be the path of a file');
});

it('a folder that is missing is named', async () => {
  const error = await rejectionOf(startBroker({ socket: folder.file('missing/socket'), allow }));
  expect(error).toMatchObject({ code: 'ENOENT' });
  expect(error.message).toContain(`the folder ${folder.file('missing')} does not exist`);
});

describe("a broker's end", () => {
  it('follows no link that took the place of a folder of its', async () => {
    const made = new Set<string>();
    const watcher = watch(folder.path, (_, name) => made.add(String(name)));
    const broker = await startBroker({ socket, allow });
    await expect.poll(() => made.has('broker')).toBe(true);
    watcher.close();
    mkdirSync(folder.file('victim'));
    writeFileSync(folder.file('victim/s'), 'precious');
    for (const name of made) {
      if (name !== 'broker') symlinkSync(folder.file('victim'), folder.file(name));
    }
    expect(made.size).toBeGreaterThan(1);
    await broker.close();
    expect(existsSync(folder.file('victim/s'))).toBe(true);
    expect(existsSync(socket)).toBe(false);
  });

  it('takes its socket away, wherever its folder is by then', async () => {
    mkdirSync(folder.file('run'));
    const broker = await startBroker({ socket: folder.file('run/broker'), allow });
    renameSync(folder.file('run'), folder.file('moved'));
    mkdirSync(folder.file('run'));
    writeFileSync(folder.file('run/broker'), 'precious');
    await broker.close();
    expect(readdirSync(folder.file('moved'))).toEqual([]);
    expect(readdirSync(folder.file('run'))).toEqual(['broker']);
  });

  it.for(['file', 'folder', 'link'])('leaves a %s alone that took its place', async (what) => {
    const broker = await startBroker({ socket, allow });
    renameSync(socket, folder.file('away'));
    if (what === 'file') writeFileSync(socket, 'precious');
    else if (what === 'folder') mkdirSync(socket);
    else symlinkSync(folder.file('away'), socket);
    const before = inode(socket);
    await broker.close();
    expect(inode(socket)).toBe(before);
    expect(folder.names()).toEqual(['away', 'broker']);
  });
});

describe('a file that is looked at out of the way', () => {
  it('is put back where it must stay, and no other is harmed', async () => {
    await using directory = await Directory.open(folder.path);
    writeFileSync(socket, 'first');
    const before = inode(socket);
    expect(await directory.removeIf('broker', () => Promise.resolve(false))).toBe(false);
    expect(inode(socket)).toBe(before);
    // Somebody comes in between.
    const removed = await directory.removeIf('broker', () => {
      writeFileSync(socket, 'second');
      return Promise.resolve(false);
    });
    expect(removed).toBe(false);
    expect(lstatSync(socket).size).toBe('second'.length);
    const [aside] = folder.names().filter((name) => name !== 'broker');
    expect(inode(folder.file(`${aside}/s`))).toBe(before);
  });

  it('is removed where it may go, and nothing is left', async () => {
    await using directory = await Directory.open(folder.path);
    writeFileSync(socket, 'dead');
    expect(await directory.removeIf('broker', () => Promise.resolve(true))).toBe(true);
    expect(folder.names()).toEqual([]);
  });
});

it('a path is as long as a client can use', async () => {
  const name = (length: number): string => folder.file('x'.repeat(length));
  const most = 107 - Buffer.byteLength(name(0));
  const long = { socket: name(Math.min(most, 80)), allow };
  await using broker = await startBroker(long);
  const client = await connectUnix(broker.socket);
  client.destroy();
  for (const length of [81, most + 1]) {
    const error = await rejectionOf(startBroker({ socket: name(length), allow }));
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(error.message).toContain('at most 107 bytes');
  }
});
