import { describe, expect, it } from 'vitest';

import { receiveError } from '../../dist/receive/receive-errors.js';
import { cmsg } from '../../dist/receive/transports/cmsg.js';
import { zcrx } from '../../dist/receive/transports/zcrx.js';

const EFAULT = -14;
const ECONNRESET = -104;
const EBADMSG = -74;

describe('a failed recvmsg', () => {
  it('with EFAULT may be a short control buffer and more, before Linux 6.12.58', () => {
    const error = receiveError(EFAULT, cmsg, '6.12.57+deb13-amd64');
    expect(error).toMatchObject({ code: 'EFAULT', errno: EFAULT, syscall: 'recvmsg' });
    for (const meant of ['ETOOSMALL', 'ENOMEM', 'ENODEV', 'Boot 6.12.58 or newer']) {
      expect(error.message).toContain(meant);
    }
  });

  it.for(['6.12.58', '6.12.117+deb12-cloud-amd64', '7.3.4', '6.1.192', '6.12.0-55.el10.x86_64'])(
    'with EFAULT is that on Linux %s',
    (kernel) => {
      expect(receiveError(EFAULT, cmsg, kernel)).not.toHaveProperty('hint');
    },
  );

  it('with any other error is that, on any kernel', () => {
    const error = receiveError(ECONNRESET, cmsg, '6.12.1');
    expect(error).toMatchObject({ code: 'ECONNRESET', syscall: 'recvmsg' });
    expect(error).not.toHaveProperty('hint');
  });

  it('that delivered a wrong record is one of ours', () => {
    expect(receiveError(EBADMSG, cmsg)).toMatchObject({ code: 'ERR_DEVMEM_BAD_RECORD' });
    expect(receiveError(EBADMSG, cmsg).message).toContain('addBinding()');
  });

  it('and was of io_uring is remedied by steering alone', () => {
    const { message } = receiveError(EBADMSG, zcrx);
    expect(message).toContain('io_uring recv_zc delivered a fragment that is not');
    expect(message).toContain('steer all of them to its own');
    expect(message).not.toContain('addBinding()');
  });
});
