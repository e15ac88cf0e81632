/** Whether io_uring can receive, too. Nothing is missing where it cannot: cmsg does without. */
import { tooLargeFor } from '../../nic/zcrx/abilities.js';
import type { KernelFacts } from '../facts/kernel.js';
import type { Part } from '../report.js';

const ID = 'kernel.zcrx';
// More than the kernels that count offsets in 32 bits can have.
const LARGE = 2 ** 33;

export function zcrx({ zcrx: refusal, release }: KernelFacts): Part[] {
  if (refusal === undefined) return [];
  if (refusal !== null) {
    const why = `${refusal.message}.`;
    return [{ id: ID, status: 'ok', title: "No transport 'zcrx'; 'cmsg' does without", why }];
  }
  const limit = release === undefined ? undefined : tooLargeFor(release, LARGE);
  return [
    {
      id: ID,
      status: 'ok',
      title: "io_uring can receive into dma-bufs, too (transport 'zcrx')",
      ...(limit !== undefined && { why: `With 4 GiB at most: ${limit}.` }),
    },
  ];
}
