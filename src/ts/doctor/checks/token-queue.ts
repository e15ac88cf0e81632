/** Whether fragments can go back without system calls. Nothing is missing where they cannot. */
import { constants } from 'node:os';

import type { KernelFacts } from '../facts/kernel.js';
import type { Part } from '../report.js';

const ID = 'kernel.token-queue';
const { ENOPROTOOPT } = constants.errno;

export function tokenQueue({ tokenQueue: refusal, dontneedError }: KernelFacts): Part[] {
  // A kernel without the path has no queue for it either: one cause, told once.
  if (refusal === undefined || dontneedError === -ENOPROTOOPT) return [];
  if (refusal === null) {
    return [
      {
        id: ID,
        status: 'ok',
        title: "Fragments go back without system calls (transport 'queue')",
      },
    ];
  }
  const why = `${refusal.message}.`;
  return [{ id: ID, status: 'ok', title: "No transport 'queue'; 'cmsg' does without", why }];
}
