/** What most files of tests begin with: a binding; and what it tells. */
import { type Binding, DmaBuf, type InterfaceMessage } from 'devmem-tcp';
import { afterAll, beforeAll, beforeEach } from 'vitest';

import { INTERFACE, steerToQueues } from './guest.js';
import { bindRx } from './transport.js';

const BYTES = 16 * 2 ** 20;

export interface Bound {
  /** The test's own. */
  binding: Binding;
  /** All tests' of the file. */
  memory: DmaBuf;
}

/** Binds some memory to queues for each test of the file; all traffic comes to queue 1. */
export function bindForEachTest(queues: readonly number[]): Bound {
  const bound = {} as Bound;
  beforeAll(async () => {
    bound.memory = await DmaBuf.allocate({ type: 'udmabuf', size: BYTES });
    return steerToQueues(1, 1);
  });
  beforeEach(async () => {
    const { memory } = bound;
    const binding = await bindRx({ interface: INTERFACE, queues, memory, mode: 'devmem' });
    bound.binding = binding;
    return () => binding.close();
  });
  afterAll(() => bound.memory.close());
  return bound;
}

/** The next change of a binding's interface to the given state. */
export function becomes(
  binding: Binding,
  state: InterfaceMessage['state'],
): Promise<InterfaceMessage> {
  return new Promise((resolve) => {
    const look = (message: InterfaceMessage): void => {
      if (message.state !== state) return;
      binding.off('interface', look);
      resolve(message);
    };
    binding.on('interface', look);
  });
}
