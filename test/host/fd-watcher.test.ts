/** Watching descriptors on the event loop. */
import { writeSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { descriptorOf } from '../../dist/ipc/handle.js';
import { ready } from '../../dist/ipc/ready.js';
import { native, WATCH_READABLE } from '../../dist/native.js';
import { Child } from '../support/child.js';
import { expectNoLeaks } from '../support/leaks.js';
import { memfd } from '../support/memfd.js';
import { close } from '../support/peers.js';
import { rejectionOf, thrownBy } from '../support/thrown.js';
import { unixPair } from '../support/unix.js';

const EBADF = -9;
const EINVAL = -22;
const EPERM = -1;

describe('FdWatcher', () => {
  expectNoLeaks();

  it('calls back while there is something to read, and not once stopped or closed', async () => {
    await using pair = await unixPair();
    const fd = descriptorOf(pair.accepted, 'Pipe')!;
    let calls = 0;
    let enough!: () => void;
    const twice = new Promise<void>((resolve) => (enough = resolve));
    const watcher = new (native().FdWatcher)(() => {
      if (++calls === 2) enough();
    });
    expect(watcher.start(WATCH_READABLE)).toBe(EBADF);
    expect(watcher.open(fd)).toBe(0);
    expect(watcher.open(fd)).toBe(EINVAL);
    expect(watcher.start(0)).toBe(EINVAL);
    expect(watcher.start(WATCH_READABLE)).toBe(0);
    writeSync(descriptorOf(pair.client, 'Pipe')!, 'x');
    await twice;
    watcher.stop();
    const stopped = calls;
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(calls).toBe(stopped);
    watcher.close();
    watcher.close();
    expect(watcher.start(WATCH_READABLE)).toBe(EBADF);
  });

  it('outlives the descriptor that it was given', async () => {
    const pair = await unixPair();
    const watched = ready(descriptorOf(pair.accepted, 'Pipe')!, 'readable');
    await close(pair.accepted);
    writeSync(descriptorOf(pair.client, 'Pipe')!, 'x');
    await watched;
    await pair[Symbol.asyncDispose]();
  });

  it('refuses what cannot be watched', () => {
    const file = memfd();
    const watcher = new (native().FdWatcher)(() => {});
    expect(watcher.open(-1)).toBe(EBADF);
    // epoll(7): regular files are always ready.
    expect(watcher.open(file.fd)).toBe(EPERM);
    file.close();
    const Untyped = native().FdWatcher as unknown as new (callback?: unknown) => unknown;
    expect(thrownBy(() => new Untyped())).toBeInstanceOf(TypeError);
  });

  it("passes an exception in the callback on as the process's own", async () => {
    const outcome = await new Child('watch-and-throw').outcome();
    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toContain('thrown in onReady');
  });
});

describe('ready()', () => {
  expectNoLeaks();

  it('ends with its signal, before and meanwhile', async () => {
    await using pair = await unixPair();
    const fd = descriptorOf(pair.accepted, 'Pipe')!;
    const controller = new AbortController();
    const waiting = ready(fd, 'readable', { signal: controller.signal });
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await rejectionOf(waiting)).toBe(reason);
    expect(thrownBy(() => ready(fd, 'readable', { signal: controller.signal }))).toBe(reason);
  });

  it('tells when there is room to write', async () => {
    await using pair = await unixPair();
    const fd = descriptorOf(pair.client, 'Pipe')!;
    await ready(fd, 'writable');
    const piece = Buffer.alloc(64 * 1024);
    let filled = 0;
    for (let sent = 0; sent >= 0; sent = native().sendFds(fd, piece, [])) filled += sent;
    let written = false;
    const room = ready(fd, 'writable').then(() => (written = true));
    await new Promise(setImmediate);
    expect(written).toBe(false);
    pair.accepted.resume();
    await room;
    expect(filled).toBeGreaterThan(0);
  });
});

describe('a worker that alone loaded the addon', () => {
  it.for(['terminate', 'exit'])('watches and ends by %s, and the process goes on', async (how) => {
    const outcome = await new Child('watch-worker', [how]).outcome();
    expect(outcome).toEqual({ status: 0, signal: null, stdout: 'survived\n', stderr: '' });
  });
});
