import { bindRx, DmaBuf, type FallbackMessage } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { Child } from '../support/child.js';
import { Recorder } from '../support/diagnostics.js';
import { expectNoLeaks } from '../support/leaks.js';
import { openPair } from '../support/peers.js';
import { readText } from '../support/stream.js';

const SIZE = 2 ** 20;
const LEFT_OUT = 'ERR_DEVMEM_NO_QUEUES';

describe('mode auto, where devmem cannot be had', () => {
  expectNoLeaks();

  it.for([
    ['nothing was named', {}, LEFT_OUT, 'options.interface and options.queues were left out'],
    ['no interface was named', { queues: [0] }, LEFT_OUT, 'options.interface was left out'],
    ['no queues were named', { interface: 'lo' }, LEFT_OUT, 'options.queues was left out'],
    ['the interface is no NIC', { interface: 'lo', queues: [0] }, 'ENOTSUP', 'lo is a virtual'],
  ] as const)('copies and says why: %s', async ([, where, code, words]) => {
    using recorder = new Recorder<FallbackMessage>('devmem-tcp:fallback');
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    await using binding = await bindRx({ memory, ...where });
    expect(binding.transport).toBe('copy');
    expect(binding.fallback).toMatchObject({ code });
    expect(binding.fallback?.message).toContain(words);
    expect(recorder.messages).toEqual([
      { interface: 'interface' in where ? where.interface : undefined, reason: binding.fallback },
    ]);
    expect(binding).toMatchObject({ copies: true, queues: [], heldBytes: 0, heldLimit: SIZE });

    await using pair = await openPair(binding);
    pair.peer.end('arrives all the same');
    expect(await readText(pair.socket)).toBe('arrives all the same');
    expect(pair.socket.transport).toBe('copy');
  });

  it('is refused an interface that is not there: who mistypes it would wonder at the speed', async () => {
    using recorder = new Recorder<FallbackMessage>('devmem-tcp:fallback');
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    const binding = bindRx({ memory, interface: 'nope0', queues: [0] });
    await expect(binding).rejects.toMatchObject({ code: 'ENODEV' });
    await expect(binding).rejects.toThrow("no interface 'nope0'. In this network namespace");
    expect(recorder.messages).toEqual([]);
    await using other = await bindRx({ memory, interface: 'nope0', queues: [0], mode: 'copy' });
    expect(other.transport).toBe('copy');
  });

  it('warns once the process, not where no interface was named', async () => {
    const { status, stdout, stderr } = await new Child('fallback-warning').outcome();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const warnings: unknown = JSON.parse(stdout);
    expect(warnings).toMatchObject([{ name: 'DevmemFallbackWarning', code: 'DEVMEM_FALLBACK' }]);
    expect(stdout).toContain('Receiving by copying, without devmem: ');
    expect(stdout).toContain('lo is a virtual interface');
  });

  it('is silent in mode copy, which is no fallback', async () => {
    using recorder = new Recorder<FallbackMessage>('devmem-tcp:fallback');
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    await using binding = await bindRx({ memory, mode: 'copy' });
    expect(binding.fallback).toBeUndefined();
    expect(recorder.messages).toEqual([]);
  });
});
