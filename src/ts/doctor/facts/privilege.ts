import type { Access } from '../files.js';
import type { Machine } from '../machine.js';

export interface PrivilegeFacts {
  /** Effective CAP_NET_ADMIN. */
  netAdmin: boolean | undefined;
  /** Whether this is the initial user namespace. */
  initialUserNamespace: boolean | undefined;
  /** Soft limit of locked memory in bytes. */
  memlock: number | undefined;
  broker:
    | {
        path: string;
        access: Access;
        socket: boolean;
        /** Whether anybody listens there. */
        listens: boolean;
      }
    | undefined;
}

// include/uapi/linux/capability.h
const CAP_NET_ADMIN = 12n;

export async function privilegeFacts(
  machine: Machine,
  broker: string | undefined,
): Promise<PrivilegeFacts> {
  const { files } = machine;
  const status = files.text('/proc/self/status');
  const limits = files.text('/proc/self/limits');
  const mapping = files.text('/proc/self/uid_map');
  return {
    netAdmin: hasCapability(status, CAP_NET_ADMIN),
    // The whole range onto itself: user_namespaces(7).
    initialUserNamespace: mapping === undefined ? undefined : /^0\s+0\s+4294967295$/.test(mapping),
    memlock: lockedMemory(limits),
    broker: broker === undefined ? undefined : await brokerFacts(machine, broker),
  };
}

async function brokerFacts(machine: Machine, path: string): Promise<PrivilegeFacts['broker']> {
  return {
    path,
    access: machine.files.access(path),
    socket: machine.files.isSocket(path),
    listens: await machine.listens(path),
  };
}

function hasCapability(status: string | undefined, bit: bigint): boolean | undefined {
  const effective = /^CapEff:\s*([\da-f]{1,16})$/im.exec(status ?? '')?.[1];
  if (effective === undefined) return undefined;
  return ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n;
}

function lockedMemory(limits: string | undefined): number | undefined {
  const soft = /^Max locked memory\s+(\S+)/m.exec(limits ?? '')?.[1];
  if (soft === 'unlimited') return Infinity;
  return soft !== undefined && /^\d+$/.test(soft) ? Number(soft) : undefined;
}
