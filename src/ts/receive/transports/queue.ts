import { cmsg } from './cmsg.js';
import type { Transport } from './transport.js';

/**
 * The kernel's devmem path, with a queue of tokens in memory that a thread shares with the
 * kernel: what came is told of as by `cmsg`, and goes back without a system call.
 */
export const queue: Transport = { ...cmsg, name: 'queue', unqueued: 'cmsg' };
