import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { DmaBuf } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { bindQueues } from '../../dist/nic/kernel-binding.js';
import { GenericNetlink } from '../../dist/nic/netlink/generic.js';
import { Child } from '../support/child.js';
import { itWhere } from '../support/conditions.js';
import { rejectionOf } from '../support/thrown.js';

const NOBODY = 65534;
const NETDEV_CMD_BIND_RX = 13;

interface Refusal {
  errno: number;
  message?: string;
}

const canBind = await GenericNetlink.open('netdev').then(
  (netlink) => {
    const known = netlink.commands.has(NETDEV_CMD_BIND_RX);
    netlink.close();
    return known;
  },
  () => false,
);
const NO_BIND = 'this kernel has no netdev bind-rx: Linux 6.12 with CONFIG_NET_DEVMEM enables this';

const isRoot = process.getuid?.() === 0;

// Whether that user can run this node and read this checkout.
function canRun(uid: number): boolean {
  const check = `require('node:fs').accessSync(${JSON.stringify(fileURLToPath(import.meta.url))})`;
  return spawnSync(process.execPath, ['-e', check], { uid, gid: uid }).status === 0;
}

const UNREADABLE = `user ${NOBODY} cannot run this node or read this checkout: a place that it can read enables this`;

async function refusalAs(uid: number | undefined): Promise<Refusal> {
  const { status, stdout, stderr } = await new Child('bind-unprivileged', [], uid).outcome();
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as Refusal;
}

describe('the kernel', () => {
  itWhere(canBind && (!isRoot || canRun(NOBODY)), canBind ? UNREADABLE : NO_BIND)(
    'refuses a binding without CAP_NET_ADMIN, which the error says',
    async () => {
      const { errno, message } = await refusalAs(isRoot ? NOBODY : undefined);
      expect(errno).toBe(-1);
      expect(message).toMatch(
        /^netdev bind-rx EPERM: .*binding queues of lo needs CAP_NET_ADMIN.*Run as root/,
      );
    },
  );

  it('is not asked for a binding on an interface without a device', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: 65536 });
    const request = { interface: 'lo', queues: [0], size: memory.size, rxPageSize: undefined };
    const error = await rejectionOf(bindQueues(request, memory.fd));
    expect(error).toMatchObject({ code: 'ENOTSUP', syscall: 'netdev bind-rx' });
    expect(error).not.toHaveProperty('kernelMessage');
    expect(error.message).toContain('lo is a virtual interface, without a device');
  });
});
