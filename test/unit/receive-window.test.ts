import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { ReceiveShares, ReceiveWindow } from '../../dist/net/receive-window.js';

const KiB = 1024;
const MiB = 1024 * KiB;

class Socket {
  readonly limits: number[] = [];
  limitReceiveBuffer(bytes: number): void {
    this.limits.push(bytes);
  }
}

function add(window: ReceiveWindow, count: number): Socket[] {
  const sockets = Array.from({ length: count }, () => new Socket());
  for (const socket of sockets) window.add(socket);
  return sockets;
}

const lastLimits = (sockets: Socket[]): (number | undefined)[] =>
  sockets.map(({ limits }) => limits.at(-1));

describe('the receive window', () => {
  it('divides the memory among sockets as they come', () => {
    const sockets = add(new ReceiveWindow(MiB), 4);
    expect(lastLimits(sockets)).toEqual([256 * KiB, 256 * KiB, 256 * KiB, 256 * KiB]);
    expect(sockets[0]?.limits).toEqual([MiB, 512 * KiB, Math.floor(MiB / 3), 256 * KiB]);
  });

  it('never goes below what a socket needs to receive at all', () => {
    const sockets = add(new ReceiveWindow(MiB), 100);
    expect(new Set(lastLimits(sockets))).toEqual(new Set([64 * KiB]));
    expect(lastLimits(add(new ReceiveWindow(0), 1))).toEqual([64 * KiB]);
  });

  it('gives the share of those that left to those that come', () => {
    const window = new ReceiveWindow(MiB);
    const [stays, leaves] = add(window, 2);
    window.remove(leaves!);
    window.remove(stays!);
    expect(lastLimits(add(window, 1))).toEqual([MiB]);
    expect(lastLimits([stays!, leaves!])).toEqual([512 * KiB, 512 * KiB]);
  });

  it('leaves buffers alone where memory has no limit', () => {
    expect(lastLimits(add(new ReceiveWindow(Infinity), 3))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('leaves buffers alone that could never grow to their share', () => {
    const maximum = Number(readFileSync('/proc/sys/net/ipv4/tcp_rmem', 'utf8').split('\t')[2]);
    expect(lastLimits(add(new ReceiveWindow(maximum), 1))).toEqual([undefined]);
    expect(lastLimits(add(new ReceiveWindow(maximum - 1), 1))).toEqual([maximum - 1]);
  });
});

describe('a socket in the windows of several bindings', () => {
  it('has the smallest of its shares', () => {
    const windows = [new ReceiveWindow(MiB), new ReceiveWindow(MiB / 2)];
    const socket = new Socket();
    const shares = new ReceiveShares(socket);
    for (const window of windows) shares.join(window);
    expect(socket.limits).toEqual([MiB, MiB / 2]);
    const others = add(windows[0]!, 3);
    expect(socket.limits.at(-1)).toBe(MiB / 4);
    expect(lastLimits(others)).toEqual([MiB / 4, MiB / 4, MiB / 4]);
  });

  it('counts in none of them once it left', () => {
    const windows = [new ReceiveWindow(MiB), new ReceiveWindow(MiB / 2)];
    const shares = new ReceiveShares(new Socket());
    for (const window of windows) shares.join(window);
    shares.leave();
    expect(lastLimits(windows.flatMap((window) => add(window, 1)))).toEqual([MiB, MiB / 2]);
  });
});
