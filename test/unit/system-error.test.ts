import { openSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { DevmemError, isSystemError, systemError } from '../../dist/errors.js';

function nodesOwn(): unknown {
  try {
    return openSync('/nonexistent/file', 'r');
  } catch (error) {
    return error;
  }
}

describe('a system error', () => {
  it("has the code, errno and syscall of Node's own", () => {
    const { code, errno, syscall } = nodesOwn() as NodeJS.ErrnoException;
    expect(systemError(-2, 'open')).toMatchObject({ code, errno, syscall });
  });

  it('says what failed and what the system calls it', () => {
    expect(systemError(-1, 'setsockopt').message).toBe('setsockopt EPERM: operation not permitted');
  });

  it("adds the subject, the kernel's words and the hint, in this order", () => {
    const error = systemError(-22, 'netdev bind-rx', {
      subject: 'eth1, queues 14',
      kernelMessage: 'tcp-data-split is disabled',
      hint: "Turn it on: 'ethtool -G eth1 tcp-data-split on'",
    });
    expect(error.message).toBe(
      "netdev bind-rx EINVAL: invalid argument, eth1, queues 14 (kernel: tcp-data-split is disabled). Turn it on: 'ethtool -G eth1 tcp-data-split on'",
    );
    expect(error.kernelMessage).toBe('tcp-data-split is disabled');
    expect(error.hint).toBe("Turn it on: 'ethtool -G eth1 tcp-data-split on'");
  });

  it('has no property for a detail that was not given', () => {
    const error = systemError(-22, 'netlink');
    expect(error).not.toHaveProperty('kernelMessage');
    expect(error).not.toHaveProperty('hint');
  });

  it('keeps its cause', () => {
    const cause = new Error('first');
    expect(systemError(-22, 'netlink', { cause }).cause).toBe(cause);
  });

  it.for([
    [-524, 'ENOTSUPP'],
    [-525, 'ETOOSMALL'],
  ] as const)('names the error %i, which only the kernel names, %s', ([errno, code]) => {
    const error = systemError(errno, 'recvmsg');
    expect(error).toMatchObject({ code, errno, syscall: 'recvmsg' });
    expect(error.message).toMatch(new RegExp(`^recvmsg ${code}: \\w+`));
  });

  it('gives an error that nobody names its number', () => {
    expect(systemError(-999, 'recvmsg')).toMatchObject({
      code: 'E999',
      errno: -999,
      message: 'recvmsg E999: unknown error 999',
    });
  });

  it("can be told from this package's own errors", () => {
    expect(isSystemError(systemError(-1, 'open'))).toBe(true);
    expect(isSystemError(nodesOwn())).toBe(true);
    expect(isSystemError(new DevmemError('ERR_DEVMEM_CLOSED', 'closed'))).toBe(false);
    expect(isSystemError({ errno: -1, syscall: 'open' })).toBe(false);
    expect(isSystemError(undefined)).toBe(false);
  });
});

describe("this package's own error", () => {
  it('is an Error with a code, a name and a cause', () => {
    const cause = new Error('first');
    const error = new DevmemError('ERR_DEVMEM_CLOSED', 'The binding was closed', { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'DevmemError',
      code: 'ERR_DEVMEM_CLOSED',
      message: 'The binding was closed',
      cause,
    });
  });
});
