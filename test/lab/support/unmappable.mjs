// Imports the dma-buf whose descriptor it was started with, and prints how the uses
// of it fail.
import { bindRx, DmaBuf } from 'devmem-tcp';

const memory = await DmaBuf.import({ fd: Number(process.argv[2]) });
const uses = [
  () => memory.map(),
  () => memory.read(0, 1),
  () => bindRx({ memory, mode: 'copy' }),
  () => bindRx({ memory, interface: 'lo', queues: [0] }),
];
const failures = [];
for (const use of uses) {
  try {
    await use();
    failures.push({});
  } catch (error) {
    const { code, message } = /** @type {Error & { code: string }} */ (error);
    failures.push({ code, message });
  }
}
process.stdout.write(JSON.stringify(failures));
