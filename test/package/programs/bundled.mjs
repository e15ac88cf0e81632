// @ts-check
/** What a bundle is made of: CommonJS has no await at its top level. */
import { bindRx, DmaBuf, isSupported, unsupportedReason } from 'devmem-tcp';

async function main() {
  if (!isSupported()) return { reason: unsupportedReason() };
  const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
  const binding = await bindRx({ memory, mode: 'copy' });
  const { transport } = binding;
  await binding.close();
  await memory.close();
  return { transport };
}

void main().then((told) => process.stdout.write(JSON.stringify(told)));
