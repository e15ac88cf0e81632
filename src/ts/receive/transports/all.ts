import { cmsg } from './cmsg.js';
import { copy } from './copy.js';
import { queue } from './queue.js';
import type { Transport, TransportName } from './transport.js';
import { zcrx } from './zcrx.js';

/** What each transport can do. */
export const TRANSPORTS: Readonly<Record<TransportName, Transport>> = {
  cmsg,
  queue,
  zcrx,
  copy,
};
