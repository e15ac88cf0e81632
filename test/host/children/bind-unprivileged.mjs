// @ts-check
// Asks the kernel for a binding on the loopback interface and prints its refusal.
import { native } from '../../../dist/native.js';
import { explainBindError } from '../../../dist/nic/bind-errors.js';
import { NetdevNetlink } from '../../../dist/nic/netlink/netdev.js';

const netdev = await NetdevNetlink.open();
const index = native().interfaceIndex('lo');
const memory = native().memfdCreate('devmem-tcp', 65536, 0);
if (typeof memory === 'number') throw new Error(`memfd: ${memory}`);
const { id, errno, kernelMessage } = await netdev.bindRx(index, [0], memory.fd);
const asked = { name: 'lo', index, queues: [0], rxPageSize: undefined };
const error =
  errno === 0 ? undefined : await explainBindError(netdev, { ...asked, errno, kernelMessage });
console.log(JSON.stringify({ id, errno, message: error?.message }));
netdev.close();
