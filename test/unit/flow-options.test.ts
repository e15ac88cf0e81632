import { describe, expect, it } from 'vitest';

import { parseFlows } from '../../dist/cli/flow-options.js';
import { rejectionOf } from '../support/thrown.js';

describe('flows on the command line', () => {
  it.each([
    [{ listen: ['5201'] }, [{ localPort: 5201 }]],
    [{ listen: [':5201'] }, [{ localPort: 5201 }]],
    [{ listen: ['*:5201'] }, [{ localPort: 5201 }]],
    [{ listen: ['192.0.2.1:5201'] }, [{ localAddress: '192.0.2.1', localPort: 5201 }]],
    [{ listen: ['[2001:db8::1]:5201'] }, [{ localAddress: '2001:db8::1', localPort: 5201 }]],
    [{ listen: ['[fe80::1%eth1]:5201'] }, [{ localAddress: 'fe80::1', localPort: 5201 }]],
    [{ connect: ['[fe80::2%3]:80'] }, [{ remoteAddress: 'fe80::2', remotePort: 80 }]],
    [
      { flow: ['local=[fe80::1%eth1]:5201,remote=[fe80::2%eth1]:7'] },
      [{ localAddress: 'fe80::1', localPort: 5201, remoteAddress: 'fe80::2', remotePort: 7 }],
    ],
    [{ connect: ['192.0.2.2:80'] }, [{ remoteAddress: '192.0.2.2', remotePort: 80 }]],
    [{ connect: ['[::1]:80'] }, [{ remoteAddress: '::1', remotePort: 80 }]],
    [
      { flow: ['local=:5201,remote=[2001:db8::2]:7'] },
      [{ localPort: 5201, remoteAddress: '2001:db8::2', remotePort: 7 }],
    ],
    [
      { flow: ['family=4,local=192.0.2.1:5201,remote=192.0.2.2'] },
      [{ family: 4, localAddress: '192.0.2.1', localPort: 5201, remoteAddress: '192.0.2.2' }],
    ],
    [{}, []],
  ])('%j', async (values, flows) => {
    expect(await parseFlows(values)).toEqual(flows);
  });

  it('are one for each address of a host that is connected to by name', async () => {
    const flows = await parseFlows({ connect: ['localhost:80'] });
    expect(flows.map(({ remoteAddress }) => remoteAddress)).toContain('127.0.0.1');
    expect(flows.every(({ remotePort }) => remotePort === 80)).toBe(true);
  });

  it.each([
    [{ listen: ['example.org:80'] }, /'example.org' is no IP address/],
    [{ listen: ['192.0.2.1'] }, /has no port/],
    [{ listen: ['::1'] }, /IPv6 is \[ADDRESS\]:PORT/],
    [{ listen: ['0'] }, /a port from 1 to 65535/],
    [{ listen: [':65536'] }, /a port from 1 to 65535/],
    [{ connect: [':80'] }, /is not HOST:PORT/],
    [{ flow: ['near=:80'] }, /'near=:80' is not local=/],
    [{ flow: ['family=5'] }, /'family=5' is not/],
    [{ flow: [''] }, /is not local=/],
  ])('%j is refused', async (values, words) => {
    expect((await rejectionOf(parseFlows(values))).message).toMatch(words);
  });
});
