import { cmsg } from './cmsg.js';
import { copy } from './copy.js';
import type { Transport, TransportName } from './transport.js';

/** What each transport can do. */
export const TRANSPORTS: Readonly<Record<TransportName, Transport>> = { cmsg, copy };
