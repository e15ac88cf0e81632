// @ts-check
// Asks the kernel for a binding on the loopback interface and prints its refusal. For
// processes without CAP_NET_ADMIN alone: others have Linux 6.12 warn of a bug.
import { native } from '../../../dist/native.js';
import { explainBindError } from '../../../dist/nic/bind-errors.js';
import { findInterface } from '../../../dist/nic/interface-arguments.js';
import { NetdevNetlink } from '../../../dist/nic/netlink/netdev.js';

const netdev = await NetdevNetlink.open();
const { name, index } = await findInterface('lo');
const memory = native().memfdCreate('devmem-tcp', 65536, 0);
if (typeof memory === 'number') throw new Error(`memfd: ${memory}`);
const { id, errno, kernelMessage } = await netdev.bindRx(index, [0], memory.fd);
const asked = { name, index, queues: [0], rxPageSize: undefined };
const error =
  errno === 0 ? undefined : await explainBindError(netdev, { ...asked, errno, kernelMessage });
console.log(JSON.stringify({ id, errno, message: error?.message }));
netdev.close();
