import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { ReceiveShares, ReceiveWindow } from '../../dist/net/receive-window.js';
import { generator } from '../support/random.js';

const KiB = 1024;
const MiB = 1024 * KiB;

/** What Linux lets a receive buffer grow to. */
const MAXIMUM = Number(readFileSync('/proc/sys/net/ipv4/tcp_rmem', 'utf8').split('\t')[2]);

class Socket {
  readonly limits: number[] = [];
  readonly shares = new ReceiveShares(this);

  constructor(...windows: ReceiveWindow[]) {
    for (const window of windows) this.shares.join(window);
  }

  limitReceiveBuffer(bytes: number): void {
    this.limits.push(bytes);
  }

  get limit(): number | undefined {
    return this.limits.at(-1);
  }
}

function join(window: ReceiveWindow, count: number): Socket[] {
  return Array.from({ length: count }, () => new Socket(window));
}

const limitsOf = (sockets: Socket[]): (number | undefined)[] => sockets.map(({ limit }) => limit);

describe('the receive window', () => {
  it('halves the shares of all where there is no place for one more', () => {
    const sockets = join(new ReceiveWindow(MiB), 5);
    expect(limitsOf(sockets)).toEqual(Array(5).fill(128 * KiB));
    expect(sockets.map(({ limits }) => limits.map((bytes) => bytes / KiB))).toEqual([
      [1024, 512, 256, 128],
      [512, 256, 128],
      [256, 128],
      [256, 128],
      [128],
    ]);
  });

  it('never goes below what a socket needs to receive at all', () => {
    const sockets = join(new ReceiveWindow(MiB), 100);
    expect(new Set(limitsOf(sockets))).toEqual(new Set([64 * KiB]));
    expect(limitsOf(join(new ReceiveWindow(0), 1))).toEqual([64 * KiB]);
  });

  it('doubles the shares of those that stay once three of four places are empty', () => {
    const [stays, second, ...others] = join(new ReceiveWindow(MiB), 8);
    for (const socket of others) socket.shares.leave();
    expect([stays?.limit, second?.limit]).toEqual([256 * KiB, 256 * KiB]);
    second?.shares.leave();
    expect(stays?.limit).toBe(512 * KiB);
    // Not all of it, or it would be halved again with the next.
    expect(limitsOf([others[0]!, second!])).toEqual([128 * KiB, 256 * KiB]);
  });

  it('leaves the others alone where one comes and goes, again and again', () => {
    const window = new ReceiveWindow(16 * MiB);
    const sockets = join(window, 33);
    const before = sockets.map(({ limits }) => limits.length);
    for (let i = 0; i < 100; i++) {
      sockets.pop()!.shares.leave();
      sockets.push(new Socket(window));
    }
    expect(sockets.slice(0, 32).map(({ limits }) => limits.length)).toEqual(before.slice(0, 32));
  });

  it('leaves buffers alone where memory has no limit', () => {
    expect(limitsOf(join(new ReceiveWindow(Infinity), 3))).toEqual(Array(3).fill(undefined));
  });

  it('leaves buffers alone that could never grow to their share', () => {
    expect(limitsOf(join(new ReceiveWindow(MAXIMUM), 1))).toEqual([undefined]);
    expect(limitsOf(join(new ReceiveWindow(MAXIMUM - 1), 1))).toEqual([MAXIMUM - 1]);
  });

  it('lets a buffer that was limited grow to what Linux would, and no more', () => {
    const [stays, ...others] = join(new ReceiveWindow(3 * MAXIMUM), 8);
    for (const socket of others) socket.shares.leave();
    const parts = [3 / 4, 3 / 8, 3 / 4, 1];
    expect(stays?.limits).toEqual(parts.map((part) => Math.floor(part * MAXIMUM)));
  });

  it('calls a few times for each that comes or goes, however many there are', () => {
    for (let seed = 1; seed <= 5; seed++) expectFewCalls(seed, 10_000);
  });
});

/** Lets sockets come and go at random, by turns more of the one and of the other. */
function expectFewCalls(seed: number, steps: number): void {
  const random = generator(seed);
  const bytes = MiB * (1 + random(64));
  const window = new ReceiveWindow(bytes);
  const present: Socket[] = [];
  let calls = 0;
  const count = (socket: Socket): Socket => {
    const limit = socket.limitReceiveBuffer.bind(socket);
    socket.limitReceiveBuffer = (size) => {
      calls++;
      limit(size);
    };
    return socket;
  };
  let growing = true;
  for (let step = 1; step <= steps; step++) {
    if (random(400) === 0) growing = !growing;
    if (present.length === 0 || random(10) < (growing ? 8 : 2)) {
      const socket = count(new Socket());
      socket.shares.join(window);
      present.push(socket);
    } else {
      present.splice(random(present.length), 1)[0]!.shares.leave();
    }
    const where = `seed ${seed}, step ${step}`;
    if (calls > 3 * step) throw new Error(`${calls} calls, ${where}`);
    checkShares(present, bytes, where);
  }
}

/** All have the same share: no more than fits, and no less than a quarter of that. */
function checkShares(sockets: Socket[], bytes: number, where: string): void {
  if (sockets.length === 0) return;
  const shares = new Set(sockets.map(({ limit = MAXIMUM }) => limit));
  const [share] = shares;
  const fair = Math.max(bytes / sockets.length, 64 * KiB);
  const isFair = share! <= fair || share === MAXIMUM;
  const isAmple = share! >= Math.min(Math.floor(fair / 4), MAXIMUM);
  if (shares.size > 1 || !isFair || !isAmple) {
    throw new Error(`shares of ${[...shares].join(', ')} where ${fair} is fair, ${where}`);
  }
}

describe('a socket in the windows of several bindings', () => {
  it('has the smallest of its shares, and is told of nothing else', () => {
    const windows = [new ReceiveWindow(MiB), new ReceiveWindow(MiB / 2)] as const;
    const socket = new Socket(...windows);
    expect(socket.limits).toEqual([MiB, MiB / 2]);
    const others = join(windows[0], 3);
    expect(socket.limits).toEqual([MiB, MiB / 2, MiB / 4]);
    expect(limitsOf(others)).toEqual(Array(3).fill(MiB / 4));
  });

  it('counts in none of them once it left', () => {
    const windows = [new ReceiveWindow(MiB), new ReceiveWindow(MiB / 2)];
    const socket = new Socket(...windows);
    socket.shares.leave();
    expect(limitsOf(windows.flatMap((window) => join(window, 1)))).toEqual([MiB, MiB / 2]);
    expect(socket.limits).toEqual([MiB, MiB / 2]);
  });
});
