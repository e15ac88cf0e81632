import { cmsg } from './cmsg.js';
import type { Transport } from './transport.js';

/**
 * The kernel's devmem path, with a queue in memory that a thread shares with the kernel: by
 * its rings fragments are told of, and go back without a system call.
 */
export const queue: Transport = { ...cmsg, name: 'queue', unqueued: 'cmsg' };
