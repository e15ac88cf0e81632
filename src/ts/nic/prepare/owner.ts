/** Who made a preparation, and whether they are still there. */
import { readFileSync } from 'node:fs';

import { namespaceId } from './proc.js';

export interface Owner {
  pid: number;
  /** Clock ticks after boot at which the process began: a reused pid has another. */
  startTime: string;
  /** The pid namespace that the pid is of. */
  pidNamespace: number;
}

/** This process. */
export function thisProcess(): Owner {
  const startTime = startTimeOf(process.pid);
  if (startTime === undefined) throw new Error('/proc tells nothing of this process');
  return { pid: process.pid, startTime, pidNamespace: namespaceId('pid') };
}

/**
 * Whether the process may still run. One in another pid namespace may: from here,
 * its pid says nothing.
 */
export function mayLive(owner: Owner): boolean {
  if (owner.pidNamespace !== namespaceId('pid')) return true;
  return startTimeOf(owner.pid) === owner.startTime;
}

// Field 22 of /proc/PID/stat; the name in field 2 may contain anything. A zombie
// has let go of everything.
function startTimeOf(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ['Z', 'X'].includes(fields[0]!) ? undefined : fields[19];
}
