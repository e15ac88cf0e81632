// @ts-check
// Asks for zero-copy receive by io_uring, and prints how it is refused.
import { bindRx, DmaBuf } from '../../../dist/index.js';

import { zcrxAbilities } from '../../../dist/nic/zcrx/abilities.js';

const memory = await DmaBuf.allocate({ type: 'host', size: 65536 });
try {
  zcrxAbilities();
  console.log('{}');
} catch (error) {
  const { code, errno, syscall, message } = /** @type {import('devmem-tcp').SystemError} */ (error);
  console.log(JSON.stringify({ code, errno, syscall, message }));
}
const binding = await bindRx({
  interface: 'lo',
  queues: [0],
  memory,
  mode: 'auto',
  transport: 'zcrx',
});
console.log(binding.transport);
