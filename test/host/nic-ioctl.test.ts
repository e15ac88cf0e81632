/** The ioctl carries commands of a length that the kernel does not know: nothing passes the end. */
import { constants } from 'node:os';

import { describe, expect, it } from 'vitest';

import { command, ETHTOOL_GRXCLSRLALL, listCommand } from '../../dist/nic/ioctl/rxnfc.js';
import { Struct } from '../../dist/nic/ioctl/bytes.js';
import { driverName } from '../../dist/nic/ioctl/driver.js';
import { listRules } from '../../dist/nic/ioctl/flow-rules.js';
import { native } from '../../dist/native.js';

const { EINVAL, ENODEV, EOPNOTSUPP } = constants.errno;
const GRSSH = 0x46;
const SRSSH = 0x47;

describe('a command for ethtool’s ioctl', () => {
  it.each([
    ['empty', new Uint8Array(0)],
    ['too short for its code', new Uint8Array(3)],
    ['of a code that is not used here', new Struct(4096).setU32(0, 0x1).bytes],
    ['too short for what it asks', new Struct(195).setU32(0, 0x3).bytes],
    ['too short for a rule', command(0x2f).bytes.subarray(0, 191)],
    ['too short for its locations', listCommand(100).bytes.subarray(0, 587)],
    [
      'of more locations than there could be',
      command(ETHTOOL_GRXCLSRLALL).setU32(184, 2 ** 32 - 1).bytes,
    ],
    ['too short for its table', new Struct(27).setU32(0, GRSSH).setU32(8, 1).bytes],
    ['too short for its key', new Struct(24 + 39).setU32(0, GRSSH).setU32(12, 40).bytes],
    [
      'of a table and key that wrap around',
      new Struct(24)
        .setU32(0, SRSSH)
        .setU32(8, 2 ** 30)
        .setU32(12, 2 ** 32 - 1).bytes,
    ],
  ])('%s is refused', (_, bytes) => {
    expect(native().ethtoolIoctl('lo', bytes)).toBe(-EINVAL);
  });

  it('of the right length reaches the kernel', () => {
    expect(native().ethtoolIoctl('lo', listCommand(0).bytes)).toBe(-EOPNOTSUPP);
    expect(native().ethtoolIoctl('nosuch0', listCommand(0).bytes)).toBe(-ENODEV);
  });

  it.each(['', 'a-name-of-16-byte'])('for the interface "%s" finds none', (name) => {
    expect(native().ethtoolIoctl(name, listCommand(0).bytes)).toBe(-ENODEV);
  });

  it('of the wrong type is refused', () => {
    const untyped = native() as unknown as { ethtoolIoctl: (...args: unknown[]) => number };
    const call = (...args: unknown[]): number => untyped.ethtoolIoctl(...args);
    expect(call('lo', new Uint32Array(64))).toBe(-EINVAL);
    expect(call(1, new Uint8Array(192))).toBe(-EINVAL);
    expect(call()).toBe(-EINVAL);
  });
});

it('an interface without a driver has no name of one, and no rules', () => {
  expect(driverName('lo')).toBeUndefined();
  expect(listRules('lo')).toBeUndefined();
});
