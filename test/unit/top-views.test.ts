/** What `devmem-tcp top` makes of what processes tell. */
import { describe, expect, it } from 'vitest';

import { parseSnapshot } from '../../dist/cli/top/parse-snapshot.js';
import { Views } from '../../dist/cli/top/view.js';
import { generator } from '../support/random.js';
import { thrownBy } from '../support/thrown.js';
import { connectionSnapshot, KERNEL, processSnapshot } from '../support/top-views.js';

const MiB = 2 ** 20;
const path = '/run/service';

/** A snapshot at a second, with so many MiB received by each connection. */
function snapshotAt(second: number, received: Record<number, number>, gone = 0, pid = 1) {
  const connections = Object.entries(received).map(([id, mebibytes]) => {
    const connection = { ...connectionSnapshot(), id: Number(id) };
    const stats = { ...connection.stats, linearBytes: 0, deviceBytes: mebibytes * MiB };
    return { ...connection, stats };
  });
  const sum = Object.values(received).reduce((a, b) => a + b, gone);
  const rest = { ...processSnapshot(), pid };
  const totals = { ...rest.totals, deviceBytes: sum * MiB, stalls: second };
  return { ...rest, time: second * 1000, connections, totals };
}

describe('rates', () => {
  it('are known of whatever was seen twice', () => {
    const views = new Views();
    const first = views.next(0, KERNEL, [{ path, snapshot: snapshotAt(1, { 1: 10, 2: 4 }) }]);
    expect(first.processes[0]).toMatchObject({ bytesPerSecond: null, newStalls: null });
    const second = views.next(0, KERNEL, [{ path, snapshot: snapshotAt(3, { 1: 30, 3: 8 }, 5) }]);
    expect(second.processes[0]).toMatchObject({
      bytesPerSecond: ((30 + 8 + 5 - 14) * MiB) / 2,
      newStalls: 2,
    });
    expect(second.processes[0]!.connections.map((each) => each.bytesPerSecond)).toEqual([
      10 * MiB,
      null,
    ]);
  });

  it('are not those of another process that has the socket by then', () => {
    const views = new Views();
    views.next(0, KERNEL, [{ path, snapshot: snapshotAt(1, { 1: 10 }) }]);
    const next = views.next(0, KERNEL, [{ path, snapshot: snapshotAt(2, { 1: 90 }, 0, 2) }]);
    expect(next.processes[0]).toMatchObject({ bytesPerSecond: null });
    expect(next.processes[0]!.connections[0]).toMatchObject({ bytesPerSecond: null });
  });

  it('are unknown where a snapshot was told twice', () => {
    const views = new Views();
    const snapshot = snapshotAt(1, { 1: 10 });
    views.next(0, KERNEL, [{ path, snapshot }]);
    const next = views.next(0, KERNEL, [{ path, snapshot }]);
    expect(next.processes[0]).toMatchObject({ bytesPerSecond: null });
  });
});

describe('what a process sends', () => {
  it('is read as it was meant', () => {
    const snapshot = snapshotAt(1, { 1: 10, 2: 4 });
    expect(parseSnapshot(JSON.stringify(snapshot))).toEqual(snapshot);
  });

  it('is refused in words where it is no snapshot', () => {
    for (const text of ['', '{', 'hello', '[1', '{}', 'null', '5', '[]', '{"version":"2"}']) {
      expect(thrownBy(() => parseSnapshot(text)).message).toContain('is no snapshot');
    }
    const newer = thrownBy(() => parseSnapshot('{"version":2}'));
    expect(newer.message).toContain('another version');
    const refused = thrownBy(() => parseSnapshot('{"error":"does not serve user 5"}'));
    expect(refused.message).toBe('it does not serve user 5');
  });

  it('has the shape of a snapshot, whatever it was', () => {
    const odd = [null, true, -1, 1e300, 'text', [], {}, [[]], { stats: 5 }, [null, 5]];
    for (let seed = 1; seed <= 300; seed++) {
      const random = generator(seed);
      const spoil = (value: unknown): unknown => {
        if (random(8) === 0) return odd[random(odd.length)];
        if (Array.isArray(value)) return value.map(spoil);
        if (typeof value !== 'object' || value === null) return value;
        return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, spoil(each)]));
      };
      const spoilt = { ...(spoil(snapshotAt(1, { 1: 10 })) as object), version: 1 };
      const read = parseSnapshot(JSON.stringify(spoilt));
      for (const { stats, local, remote } of read.connections) {
        expect(Object.values(stats).every(Number.isFinite), `seed ${seed}`).toBe(true);
        expect([typeof local, typeof remote], `seed ${seed}`).toEqual(['string', 'string']);
      }
      for (const { queues, heldLimit, memory } of read.bindings) {
        expect([...queues, heldLimit, memory.size].every(Number.isFinite)).toBe(true);
      }
    }
  });
});
