import { SocketAddress } from 'node:net';

import { describe, expect, it } from 'vitest';

import { addressBytes, addressText } from '../../dist/nic/ioctl/addresses.js';
import { alternatives, checkFlow, describeMatch, ethtoolFlow } from '../../dist/nic/flows.js';
import { generator } from '../support/random.js';
import { thrownBy } from '../support/thrown.js';

const check = (flow: unknown) => checkFlow('options.flows[0]', flow);

describe('a flow', () => {
  it('of no address is one of each family', () => {
    expect(check({ localPort: 5201 })).toEqual([
      { family: 4, localPort: 5201 },
      { family: 6, localPort: 5201 },
    ]);
  });

  it('has the family of its addresses', () => {
    expect(check({ localAddress: '192.0.2.1', localPort: 1 })).toMatchObject([{ family: 4 }]);
    expect(check({ remoteAddress: '2001:db8::2', remotePort: 1 })).toMatchObject([{ family: 6 }]);
  });

  it('to the address that stands for any is one to no address', () => {
    expect(check({ localAddress: '0.0.0.0', localPort: 1 })).toEqual([{ family: 4, localPort: 1 }]);
    expect(check({ localAddress: '::', localPort: 1 })).toEqual(check({ localPort: 1 }));
    expect(check({ family: 6, localAddress: '::', localPort: 1 })).toEqual([
      { family: 6, localPort: 1 },
    ]);
  });

  it('of an IPv4 address that a socket of both families reports is one of IPv4', () => {
    const mapped = { localAddress: '::ffff:192.0.2.1', localPort: 1 };
    expect(check(mapped)).toEqual([{ family: 4, localAddress: '192.0.2.1', localPort: 1 }]);
    expect(check({ ...mapped, remoteAddress: '192.0.2.7' })).toHaveLength(1);
    expect(check({ ...mapped, localAddress: '::ffff:0.0.0.0' })).toEqual([
      { family: 4, localPort: 1 },
    ]);
    expect(thrownBy(() => check({ ...mapped, family: 6 })).message).toContain('addresses agree');
  });

  it('is the same however its addresses are written', () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const random = generator(seed);
      const { text, canonical } = randomAddress(random);
      const flow = { localPort: 1, [random(2) === 0 ? 'localAddress' : 'remoteAddress']: text };
      expect(check(flow), `seed ${seed}: ${text}`).toEqual(expected(flow, canonical));
    }
  });

  it.each([
    [{}, 'a flow with a localPort or a remotePort'],
    [{ localAddress: '192.0.2.1' }, 'a flow with a localPort or a remotePort'],
    [{ localPort: 0 }, 'options.flows[0].localPort'],
    [{ localPort: 65536 }, '<= 65535'],
    [{ remotePort: 1.5 }, 'options.flows[0].remotePort'],
    [{ localPort: '80' }, 'must be a number'],
    [{ localPort: 1, family: 5 }, '4 or 6'],
    [{ localPort: 1, localAddress: 'example.org' }, 'an IPv4 or IPv6 address'],
    [{ localPort: 1, localAddress: 'fe80::1%eth0' }, 'without a scope'],
    [{ localPort: 1, localAddress: 7 }, 'must be a string'],
    [{ localPort: 1, family: 6, localAddress: '192.0.2.1' }, 'family and addresses agree'],
    [{ localPort: 1, localAddress: '192.0.2.1', remoteAddress: '::1' }, 'addresses agree'],
    [[], 'must be an object'],
    [null, 'must be an object'],
  ])('%j is refused', (flow, words) => {
    const error = thrownBy(() => check(flow));
    expect(error.message).toContain(words);
    expect(error).toHaveProperty('code');
  });
});

/** An IPv6 address in any spelling, and as the system writes it; with many zeros. */
function randomAddress(random: (below: number) => number): { text: string; canonical: string } {
  const mapped = random(4) === 0;
  const zeros = random(6) === 0 ? 100 : random(4);
  const words = Array.from({ length: 8 }, (_, at) => {
    if (mapped && at < 6) return at < 5 ? 0 : 0xffff;
    return random(4) < zeros ? 0 : random(0x10000);
  });
  const text = spelled(words, random);
  return { text, canonical: new SocketAddress({ address: text, family: 'ipv6' }).address };
}

function spelled(words: readonly number[], random: (below: number) => number): string {
  const groups = words.map((word) => {
    const digits = word.toString(16).padStart(random(2) === 0 ? 4 : 1, '0');
    return random(2) === 0 ? digits.toUpperCase() : digits;
  });
  if (random(3) === 0) {
    const [high, low] = [words[6]!, words[7]!];
    groups.splice(6, 2, [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.'));
  }
  // Some run of zeros is left out, if there is one.
  const from = random(groups.length);
  let to = from;
  while (to < groups.length && /^0+$/.test(groups[to]!)) to++;
  if (to === from || random(3) === 0) return groups.join(':');
  return `${groups.slice(0, from).join(':')}::${groups.slice(to).join(':')}`;
}

/** What a flow with an address has to be, by the system's own spelling of it. */
function expected(flow: Readonly<Record<string, unknown>>, canonical: string): object[] {
  const ipv4 = /^::ffff:([\d.]+)$/.exec(canonical)?.[1];
  const end = 'localAddress' in flow ? 'localAddress' : 'remoteAddress';
  const any = { localPort: 1 };
  if (canonical === '::') return [4, 6].map((family) => ({ family, ...any }));
  if (ipv4 === '0.0.0.0') return [{ family: 4, ...any }];
  if (ipv4 !== undefined) return [{ family: 4, ...any, [end]: ipv4 }];
  return [{ family: 6, ...any, [end]: addressText(addressBytes(canonical)) }];
}

describe('what to try where a driver refuses a match', () => {
  const five = {
    family: 4,
    localAddress: '192.0.2.1',
    localPort: 5201,
    remoteAddress: '192.0.2.2',
    remotePort: 40000,
  } as const;

  it('is the local side of it', () => {
    expect(alternatives(five)).toEqual([
      five,
      { family: 4, localAddress: '192.0.2.1', localPort: 5201 },
    ]);
  });

  it('is nothing for a match of one side', () => {
    const server = { family: 6, localPort: 5201 } as const;
    const client = { family: 6, remoteAddress: '2001:db8::2', remotePort: 80 } as const;
    expect(alternatives(server)).toEqual([server]);
    expect(alternatives(client)).toEqual([client]);
  });

  it('is written as ethtool takes it, and as people read it', () => {
    expect(ethtoolFlow(five)).toBe(
      'flow-type tcp4 src-ip 192.0.2.2 dst-ip 192.0.2.1 src-port 40000 dst-port 5201',
    );
    expect(describeMatch(five)).toBe('tcp4 to 192.0.2.1:5201 from 192.0.2.2:40000');
    expect(describeMatch({ family: 6, localAddress: '2001:db8::1' })).toBe(
      'tcp6 to [2001:db8::1]:* from any',
    );
  });
});
