import { describe, expect, it } from 'vitest';

import { UsageError } from '../../dist/cli/command.js';
import {
  addressText,
  parseCount,
  parseEndpoint,
  parseQueues,
  parseRelease,
  parseSeconds,
  parseSize,
} from '../../dist/cli/values.js';

describe('an endpoint', () => {
  it.for([
    ['5201', undefined, 5201],
    ['0', undefined, 0],
    [':80', undefined, 80],
    ['*:80', undefined, 80],
    ['192.0.2.1', '192.0.2.1', 5201],
    ['192.0.2.1:80', '192.0.2.1', 80],
    ['host.example:80', 'host.example', 80],
    ['[2001:db8::1]:80', '2001:db8::1', 80],
    ['[2001:db8::1]', '2001:db8::1', 5201],
  ] as const)('%s is host %s, port %i', ([text, host, port]) => {
    expect(parseEndpoint('--listen', text)).toEqual({ host, port });
  });

  it.for(['', '2001:db8::1', 'host:', 'host:x', 'host:65536', '[::1', 'a:1:2'])(
    "'%s' is none, and the message shows how to write one",
    (text) => {
      expect(() => parseEndpoint('--listen', text)).toThrow(UsageError);
      expect(() => parseEndpoint('--listen', text)).toThrow(/--listen must/);
    },
  );

  it('is written as it is read', () => {
    expect(addressText('::1', 80)).toBe('[::1]:80');
    expect(addressText('192.0.2.1', 80)).toBe('192.0.2.1:80');
    expect(addressText('fe80::1%eth1', 80)).toBe('[fe80::1%eth1]:80');
  });

  it('is IPv4 where it is IPv4 in an IPv6 socket', () => {
    expect(addressText('::ffff:192.0.2.1', 80)).toBe('192.0.2.1:80');
    expect(addressText('::ffff:c000:201', 80)).toBe('[::ffff:c000:201]:80');
    expect(addressText('2001:db8::ffff:1', 80)).toBe('[2001:db8::ffff:1]:80');
  });
});

describe('queues', () => {
  it('are a list of numbers and ranges', () => {
    expect(parseQueues('--queues', '2, 5-7')).toEqual([2, 5, 6, 7]);
  });

  it.for(['', 'x', '3-1', '1,,2', '70000', '1-99999', '2,1-3'])("'%s' are none", (text) => {
    expect(() => parseQueues('--queues', text)).toThrow(UsageError);
  });
});

describe('numbers', () => {
  it.for(['0', '-1', 'x', '', 'Infinity', '1e9', '99999999'])("'%s' is no span of time", (text) => {
    expect(() => parseSeconds('--seconds', text)).toThrow(UsageError);
    expect(() => parseSeconds('--seconds', text)).toThrow(/^--seconds must .*, up to 2147483, not/);
  });

  it.for(['-1', '1.5', 'x', '', '11'])("'%s' is no count from 0 to 10", (text) => {
    expect(() => parseCount('--connections', text, 0, 10)).toThrow(UsageError);
  });

  it.for(['0', '-1', 'x', '', ' 1', '1 ', '1048577G', '99999999999999999999'])(
    "'%s' is no size",
    (text) => {
      expect(() => parseSize('--bytes', text)).toThrow(UsageError);
      expect(() => parseSize('--bytes', text)).toThrow(/^--bytes must .*, up to 1048576G, not/);
    },
  );

  it('are taken up to their bounds', () => {
    expect(parseSeconds('--seconds', '2147483')).toBe(2147483);
    expect(parseSize('--bytes', '1048576G')).toBe(2 ** 50);
  });
});

describe('a release of Linux', () => {
  it.for([
    ...['6.12', '6.12.0', '6.12.117', '6.12-rc3', '6.12.0-rc1+', '4.4.302+'],
    '6.12.117+deb12-amd64', // Debian
    '6.1.0-28-amd64',
    '6.8.0-45-generic', // Ubuntu
    '7.3.4-1-generic',
    '6.12.0-55.el10.x86_64', // Red Hat
    '6.12.5-200.fc41.x86_64',
    '6.12.0-160000.5-default', // SUSE
    '6.1.102-108.177.amzn2023.x86_64', // Amazon
    '6.12.9_1', // Void
    '6.6.31+rpt-rpi-v8', // Raspberry Pi
    '6.12.1-rc1-next-20241120-dirty',
    '5.15.167.4-microsoft-standard-WSL2',
    '6.6.57.1-7.azl3', // Azure
  ])('%s is one', (text) => {
    expect(parseRelease('--release', text)).toBe(text);
  });

  it.for([
    ...['', '6', '6.', '6.12.', '6.12.x', '6.x', 'v6.12', 'Linux 6.12', '6.12.1.2', '6.12.1.2.3-a'],
    ...['6.12-', '6.12.1-', '6.12.1-rc1.', '6..12', '.6.12', '-6.12', '6.12.1 ', ' 6.12.1', '6,12'],
    ...[
      '6.12.1\n',
      '06.12',
      '6.012',
      '$(reboot)',
      "6.12.1'; reboot #",
      '6.12.1-a b',
      '6.12.1\x1b[2J',
    ],
  ])('%j is none, and the message shows how to write one', (text) => {
    expect(() => parseRelease('--release', text)).toThrow(UsageError);
    expect(() => parseRelease('--release', text)).toThrow(
      /^--release must be a release as 'uname -r'/,
    );
  });
});
