/** What TCP may keep of streams that nobody has read yet. */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { run } from './guest.js';

const SETTING = '/proc/sys/net/ipv4/tcp_rmem';

/** Lets sockets made from now on queue so many bytes unread, until the returned function is called. */
export function setReceiveBuffers(bytes: number): () => void {
  const before = readFileSync(SETTING, 'utf8');
  writeFileSync(SETTING, `4096 ${bytes} ${bytes}`);
  return () => {
    writeFileSync(SETTING, before);
  };
}

/** Waits until the kernel has the peer's FIN, and with it all data: there is no event for it. */
export async function endReceived(peerPort: number): Promise<void> {
  const closeWait = ['-Htn', 'state', 'close-wait', 'dport', '=', `:${peerPort}`];
  while (run('ss', ...closeWait) === '') await delay(50);
}
