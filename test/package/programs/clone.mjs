// @ts-check
/** Sends another thread what belongs to this one. */
import { MessageChannel } from 'node:worker_threads';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
const binding = await bindRx({ mode: 'copy', memory });
const { port1 } = new MessageChannel();
for (const each of [memory, binding, createServer({ binding })]) {
  try {
    port1.postMessage(each);
    console.log('posted');
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    console.log(name, /\(post .*\) could not be cloned/.test(message));
  }
}
port1.close();
await binding.close();
await memory.close();
