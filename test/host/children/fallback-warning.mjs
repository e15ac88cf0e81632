// @ts-check
// Binds by copying, without an interface and then with one, and prints the warnings.
import { bindRx, DmaBuf } from '../../../dist/index.js';

/** @type {{ name: string, code: unknown, message: string }[]} */
const warnings = [];
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  const { name, message } = warning;
  warnings.push({ name, code: 'code' in warning ? warning.code : undefined, message });
});

const SIZE = 65536;
for (const where of [{}, { interface: 'lo', queues: [0] }, { interface: 'lo', queues: [1] }]) {
  const memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
  const binding = await bindRx({ memory, ...where });
  if (binding.transport !== 'copy') throw new Error(binding.transport);
  await binding.close();
  await memory.close();
}
// Warnings are emitted in a later turn.
setImmediate(() => console.log(JSON.stringify(warnings)));
