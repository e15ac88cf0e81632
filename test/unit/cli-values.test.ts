import { describe, expect, it } from 'vitest';

import { UsageError } from '../../dist/cli/command.js';
import {
  addressText,
  parseCount,
  parseEndpoint,
  parseQueues,
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
  });

  it.for(['-1', '1.5', 'x', '', '11'])("'%s' is no count from 0 to 10", (text) => {
    expect(() => parseCount('--connections', text, 0, 10)).toThrow(UsageError);
  });

  it.for(['0', '-1', 'x', ''])("'%s' is no size", (text) => {
    expect(() => parseSize('--bytes', text)).toThrow(UsageError);
  });
});
