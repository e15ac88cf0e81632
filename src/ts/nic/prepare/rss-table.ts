/** Arithmetic of RSS indirection tables. */
import { queueList } from '../queue-list.js';

/** As the kernel spreads by default (include/linux/ethtool.h ethtool_rxfh_indir_default). */
export function defaultTable(size: number, queues: number): number[] {
  return Array.from({ length: size }, (_, at) => at % queues);
}

export function isDefaultTable(table: readonly number[], queues: number): boolean {
  return table.every((queue, at) => queue === at % queues);
}

/**
 * The table with some queues taken out: their entries go to the others in turn, the
 * rest stays, so that flows which are not concerned keep their queue. The others are
 * those that the table uses; where it uses none but the excluded, all there are.
 *
 * @param queues - how many the interface has
 * @returns undefined where no queue would be left
 */
export function excludeQueues(
  table: readonly number[],
  excluded: ReadonlySet<number>,
  queues: number,
): number[] | undefined {
  const used = [...new Set(table)].sort((a, b) => a - b);
  const all = Array.from({ length: queues }, (_, queue) => queue);
  const others = [used, all]
    .map((each) => each.filter((queue) => !excluded.has(queue)))
    .find((each) => each.length > 0);
  if (others === undefined) return undefined;
  let next = 0;
  return table.map((queue) => (excluded.has(queue) ? others[next++ % others.length]! : queue));
}

/** A table of the same size over these queues, in turn. */
export function tableOver(queues: readonly number[], size: number): number[] {
  return Array.from({ length: size }, (_, at) => queues[at % queues.length]!);
}

/** The table for people: `queues 0-2, 5`. */
export function describeTable(table: readonly number[]): string {
  return `queues ${queueList(table)}`;
}

/** What makes `ethtool -X` spread over the same queues. */
export function ethtoolSpread(table: readonly number[]): string {
  const used = new Set(table);
  const first = Math.min(...used);
  const last = Math.max(...used);
  if (last - first + 1 === used.size) {
    return first === 0 ? `equal ${used.size}` : `start ${first} equal ${used.size}`;
  }
  const weights = Array.from({ length: last + 1 }, (_, queue) => (used.has(queue) ? 1 : 0));
  return `weight ${weights.join(' ')}`;
}
