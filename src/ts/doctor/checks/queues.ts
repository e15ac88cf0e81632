/** Whether an interface has receive queues to bind. */
import type { RxQueue } from '../../nic/netlink/netdev.js';
import { queueList } from '../../nic/queue-list.js';
import { shellWord } from '../../nic/quoting.js';
import type { InterfaceFacts } from '../facts/interfaces.js';
import type { Part } from '../report.js';

const PAGE = 4096;
const MiB = 2 ** 20;

export function checkQueues(facts: InterfaceFacts): Part[] {
  return [count(facts), users(facts), rings(facts)].filter((part) => part !== undefined);
}

function queuesOf({ rxQueues, queueCount }: InterfaceFacts): number | undefined {
  // A driver that does not tell of its queues is no proof that there are none.
  return rxQueues === undefined || rxQueues.length === 0 ? queueCount : rxQueues.length;
}

function count(facts: InterfaceFacts): Part {
  const id = 'interface.queues';
  const queues = queuesOf(facts);
  const why = 'A bound queue is for steered connections alone; others need a queue of their own.';
  if (queues === undefined) {
    return { id, status: 'warning', title: 'Unknown how many receive queues it has', why };
  }
  if (queues < 2) {
    return {
      id,
      status: 'warning',
      title: `It has ${queues} receive queue${queues === 1 ? '' : 's'}`,
      why,
      fix: "Make more, if the driver can ('rx' for 'combined', where rx and tx have their own):",
      commands: [`ethtool -L ${shellWord(facts.name)} combined 2`],
    };
  }
  return { id, status: 'ok', title: `It has ${queues} receive queues` };
}

function users({ rxQueues }: InterfaceFacts): Part | undefined {
  if (rxQueues === undefined || rxQueues.length === 0) return undefined;
  const id = 'interface.bound';
  const taken = rxQueues.filter((each) => each.dmabufId !== undefined || each.otherUser);
  if (taken.length === 0) return { id, status: 'ok', title: 'Nothing is bound to its queues' };
  const list = usersOf(taken);
  const free = rxQueues.filter((each) => !taken.includes(each)).map(({ id: queue }) => queue);
  if (free.length > 0) {
    return {
      id,
      status: 'ok',
      title: `In use: rx queue ${list}; free: ${queueList(free)}`,
    };
  }
  return {
    id,
    status: 'missing',
    title: `All receive queues are in use: ${list}`,
    why: 'A queue has one binding, or one AF_XDP socket, at a time.',
    fix: 'End the processes that have them; a binding ends with the process that made it.',
  };
}

// More would not fit a line.
const MOST_USERS = 4;

/** Queues by who has them: `2-3 (binding 7), 5 (AF_XDP)`. */
function usersOf(taken: readonly RxQueue[]): string {
  const queues = new Map<string, number[]>();
  for (const { id, dmabufId, otherUser } of taken) {
    const user = otherUser ?? `binding ${dmabufId}`;
    queues.set(user, [...(queues.get(user) ?? []), id]);
  }
  if (queues.size > MOST_USERS) {
    return `${queueList(taken.map(({ id }) => id))} (${queues.size} bindings and sockets)`;
  }
  return [...queues].map(([user, ids]) => `${queueList(ids)} (${user})`).join(', ');
}

function rings({ rings, name }: InterfaceFacts): Part | undefined {
  if (rings?.rx === undefined || rings.rx === 0) return undefined;
  const bytes = rings.rx * PAGE;
  const smallest = Math.max(Math.ceil((4 * bytes) / MiB), 1);
  return {
    id: 'interface.rings',
    status: 'ok',
    title: `Rings of ${rings.rx} entries: a bound queue keeps ${(bytes / MiB).toFixed(1)} MiB filled`,
    why: `Memory has to be larger than that, ${smallest} MiB for each queue or more; 'ethtool -G ${shellWord(name)} rx N' changes it.`,
  };
}
