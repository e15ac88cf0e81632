/** Names of interfaces, what lies below them, and their queues. */
import { describe, expect, it } from 'vitest';

import { nicsBelow, whatToName } from '../../dist/nic/devices.js';
import { checkInterface } from '../../dist/nic/interface-arguments.js';
import type { Link } from '../../dist/nic/netlink/link.js';
import { queueList } from '../../dist/nic/queue-list.js';
import { ETH1 } from '../support/machines.js';
import { generator } from '../support/random.js';
import { thrownBy } from '../support/thrown.js';

describe('the name of an interface', () => {
  it.for(['lo', 'eth0.100', 'x;reboot', '-h', '...', 'ü'.repeat(63), 'x'.repeat(127)])(
    'may be %s',
    (name) => {
      expect(checkInterface(name)).toBe(name);
    },
  );

  it.for([
    '',
    '.',
    '..',
    'a/b',
    'a b',
    'a\tb',
    'a\u00a0b',
    'a\0b',
    'ü'.repeat(64),
    'a'.repeat(128),
  ])('may not be %j: length is counted in bytes', (name) => {
    const error = thrownBy(() => checkInterface(name));
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(error.message).toContain('of 1 to 127 bytes');
  });

  it.for(['dms0:1', 'dms0:anything', ':', 'dms0:'])('may not be %s: it has a colon', (name) => {
    expect(thrownBy(() => checkInterface(name)).message).toContain('without a colon');
  });
});

const link = (index: number, name: string, more: Partial<Link> = {}): Link => ({
  ...ETH1,
  index,
  name,
  parent: undefined,
  ...more,
});
const nic = (index: number, name: string, more: Partial<Link> = {}): Link =>
  link(index, name, { parent: ETH1.parent, ...more });

describe('the NICs below an interface', () => {
  const links = [
    nic(2, 'eth0'),
    nic(3, 'eth1', { master: 5 }),
    nic(4, 'eth2', { master: 5 }),
    link(5, 'bond0'),
    link(6, 'bond0.7', { kind: 'vlan', lower: 5, master: 8 }),
    link(7, 'tap0', { master: 8 }),
    link(8, 'br0', { kind: 'bridge' }),
    link(9, 'v0', { kind: 'veth', lower: 10 }),
    link(10, 'v1', { kind: 'veth', lower: 9 }),
    link(11, 'eth0.100', { kind: 'vlan', lower: 2 }),
    link(12, 'lost.5', { kind: 'vlan', lower: 99 }),
  ];

  it.for([
    ['eth0.100', ['eth0']],
    ['bond0', ['eth1', 'eth2']],
    ['bond0.7', ['eth1', 'eth2']],
    ['br0', ['eth1', 'eth2']],
    ['v0', []],
    ['tap0', []],
    ['lost.5', []],
  ] as const)('of %s are %j', ([name, below]) => {
    expect(
      nicsBelow(
        links.find((each) => each.name === name)!,
        links,
      ),
    ).toEqual(below);
  });

  it('are found however links lie on each other, and once', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = generator(seed);
      const some = Array.from({ length: 8 }, (_, index) =>
        (random(3) === 0 ? nic : link)(index, `l${index}`, {
          ...(random(2) === 0 && { lower: random(9) }),
          ...(random(2) === 0 && { master: random(9) }),
        }),
      );
      const below = nicsBelow(some[0]!, some);
      expect(below.toSorted(), `seed ${seed}`).toEqual(reached(some).toSorted());
    }
  });

  it('are named, for a terminal', () => {
    expect(whatToName(['eth1', 'e\x07'])).toBe('Name the NIC below it: eth1 or e\\x07');
    expect(whatToName([])).toBe('Name a NIC; there is none below it');
  });
});

/** The NICs below the first link, by trying every step from every link that was reached. */
function reached(links: readonly Link[]): string[] {
  const found = new Set([0]);
  // Once for each link is often enough for the longest way.
  links.forEach(() => {
    for (const above of links.filter(({ index }) => found.has(index))) {
      if (above.lower !== undefined && above.lower < links.length) found.add(above.lower);
      for (const part of links) if (part.master === above.index) found.add(part.index);
    }
  });
  return links
    .filter(({ index, parent }) => index !== 0 && found.has(index) && parent !== undefined)
    .map(({ name }) => name);
}

describe('queues for people', () => {
  it.for([
    [[], ''],
    [[3], '3'],
    [[5, 0, 2, 1, 2], '0-2, 5'],
    [[0, 1], '0-1'],
    [Array.from({ length: 1024 }, (_, queue) => queue), '0-1023'],
    [Array.from({ length: 512 }, (_, at) => 2 * at), '0, 2, 4, 6, 8, 10, 12, 14 and 504 more'],
  ] as const)('%j', ([queues, text]) => {
    expect(queueList(queues)).toBe(text);
  });

  it('are all there, and fit a line', () => {
    for (let seed = 1; seed <= 500; seed++) {
      const random = generator(seed);
      const most = 1 + random(1024);
      const queues = Array.from({ length: 1 + random(most) }, () => random(most));
      const text = queueList(queues);
      expect(text.length, `seed ${seed}`).toBeLessThan(100);
      expect(counted(text), `seed ${seed}: ${text}`).toBe(new Set(queues).size);
    }
  });
});

/** How many queues a list tells of. */
function counted(text: string): number {
  const [runs = '', more = '0 more'] = text.split(' and ');
  const told = runs.split(', ').map((run) => {
    const [first, last = first] = run.split('-').map(Number);
    return last! - first! + 1;
  });
  return told.reduce((sum, count) => sum + count, Number.parseInt(more, 10));
}
