/** Which engine copies from where to where. */
import { DevmemError } from '../errors.js';
import { DmaBuf } from '../memory/dma-buf.js';
import type { GatherEngine, Target } from './engine.js';
import { host } from './host.js';

/**
 * @param source - undefined for bytes of JavaScript's own
 * @throws DevmemError ERR_DEVMEM_NOT_MAPPABLE where there is none
 */
export function engineFor(source: DmaBuf | undefined, target: Target): GatherEngine {
  if (isOnGpu(source) || isOnGpu(target)) {
    throw new DevmemError('ERR_DEVMEM_NOT_MAPPABLE', 'Nothing copies from or to this memory');
  }
  return host;
}

function isOnGpu(memory: DmaBuf | Target | undefined): boolean {
  return memory instanceof DmaBuf && memory.type === 'cuda';
}
