import { describe, expect, it } from 'vitest';

import { alternatives, checkFlow, describeMatch, ethtoolFlow } from '../../dist/nic/flows.js';
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
