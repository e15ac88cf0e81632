/** Queues for people. */

// NICs have up to a thousand, and a line has 80 columns.
const MOST_RUNS = 8;

/** Queues in one short line: `0-2, 5`, or `0, 2, 4, 6, 8, 10, 12, 14 and 504 more`. */
export function queueList(queues: Iterable<number>): string {
  const sorted = [...new Set(queues)].sort((a, b) => a - b);
  const runs: string[] = [];
  let told = 0;
  while (told < sorted.length && runs.length < MOST_RUNS) {
    const first = sorted[told]!;
    let last = first;
    while (sorted[++told] === last + 1) last++;
    runs.push(last > first ? `${first}-${last}` : `${first}`);
  }
  const more = sorted.length - told;
  return runs.join(', ') + (more > 0 ? ` and ${more} more` : '');
}
