// @ts-check
/** Maps 8 GiB, of which nothing is written: more than an ArrayBuffer has in Node 20. */
import { DmaBuf } from 'devmem-tcp';

const memory = await DmaBuf.allocate({ type: 'host', size: 8 * 2 ** 30 });
try {
  console.log(memory.map().length);
} catch (error) {
  console.log(/** @type {{ code: string }} */ (error).code);
}
await memory.close();
