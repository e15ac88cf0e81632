/** What watching links makes of errors of the netlink socket: never a loop that spins. */
import { setImmediate as nextTurn } from 'node:timers/promises';

import { beforeEach, expect, it, vi } from 'vitest';

import type * as NativeModule from '../../dist/native.js';
import type { Native } from '../../dist/native.js';
import { watchLink } from '../../dist/nic/link-monitor.js';

const EIO = -5;
const EAGAIN = -11;
const EMFILE = -24;
const ENOBUFS = -105;
const LOOPBACK = 1;

/** The kernel's part: what it is asked, and how it answers by turns; the last answer stays. */
const kernel = vi.hoisted(() => ({
  opened: 0,
  received: 0,
  opening: [] as number[],
  receiving: [] as (number | Uint8Array)[],
  /** How it refuses a socket to ask for a link's state; 0: it does not. */
  asking: 0,
}));

const next = <T>(answers: T[]): T | undefined =>
  answers.length > 1 ? answers.shift() : answers[0];

vi.mock('../../dist/native.js', async (original) => {
  const module = await original<typeof NativeModule>();
  const real = module.native();
  const double: Native = {
    ...real,
    // Readable for ever, as a socket with an error that nothing clears.
    openNetlinkGroups: () => {
      kernel.opened++;
      return next(kernel.opening) ?? real.open('/dev/random');
    },
    receiveNetlink: () => {
      kernel.received++;
      return next(kernel.receiving) ?? EAGAIN;
    },
  };
  class Silent extends real.NetlinkSocket {
    override open(): number {
      return kernel.asking;
    }
  }
  return {
    ...module,
    native: () => (kernel.asking === 0 ? double : { ...double, NetlinkSocket: Silent }),
  };
});

const warnings: Error[] = [];
process.on('warning', (warning) => {
  if (warning.name === 'DevmemLinkMonitorWarning') warnings.push(warning);
});

async function turns(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await nextTurn();
}

beforeEach(() => {
  Object.assign(kernel, { opened: 0, received: 0, opening: [], receiving: [], asking: 0 });
  warnings.length = 0;
});

it('an error that stays is met by one new socket, and then by a warning', async () => {
  kernel.receiving = [EIO];
  const unwatch = await watchLink(LOOPBACK, 'lo', () => {});
  await turns();
  expect(kernel).toMatchObject({ opened: 2, received: 2 });
  expect(warnings).toHaveLength(1);
  expect(warnings[0]!.message).toContain('recvfrom(rtnetlink) EIO');
  unwatch();
});

it('an error that a new socket has not is passed over in silence', async () => {
  kernel.receiving = [EIO, EAGAIN];
  const unwatch = await watchLink(LOOPBACK, 'lo', () => {});
  await vi.waitUntil(() => kernel.opened === 2);
  expect(warnings).toEqual([]);
  unwatch();
});

it('an error after news were read is met by a new socket each time', async () => {
  const nothing = new Uint8Array();
  kernel.receiving = [EIO, nothing, EIO, nothing, EIO, EAGAIN];
  const unwatch = await watchLink(LOOPBACK, 'lo', () => {});
  await vi.waitUntil(() => kernel.opened === 4);
  expect(warnings).toEqual([]);
  unwatch();
});

it('a socket that cannot be opened again is the end of it, and the next watch opens one', async () => {
  const socket = undefined as unknown as number; // the double's own
  kernel.receiving = [EIO, EAGAIN];
  kernel.opening = [socket, EMFILE, socket];
  const unwatch = await watchLink(LOOPBACK, 'lo', () => {});
  await vi.waitUntil(() => warnings.length === 1);
  expect(warnings[0]!.message).toContain('EMFILE');
  const again = await watchLink(LOOPBACK, 'lo', () => {});
  expect(kernel.opened).toBe(3);
  unwatch();
  again();
});

it('a link of which nothing can be learnt is not taken for gone', async () => {
  kernel.receiving = [EAGAIN];
  const heard = vi.fn();
  const unwatch = await watchLink(LOOPBACK, 'lo', heard);
  kernel.asking = EMFILE;
  kernel.receiving = [ENOBUFS, EAGAIN];
  await turns();
  expect(kernel.receiving).toEqual([EAGAIN]);
  expect(heard).not.toHaveBeenCalled();
  unwatch();
});
