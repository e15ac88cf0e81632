import { bindRx, DmaBuf, type FallbackMessage } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { Recorder } from '../support/diagnostics.js';
import { expectNoLeaks } from '../support/leaks.js';
import { openPair } from '../support/peers.js';
import { readText } from '../support/stream.js';

const SIZE = 2 ** 20;

describe('mode auto, where devmem cannot be had', () => {
  expectNoLeaks();

  it.for([
    ['no interface was given', {}, 'ERR_DEVMEM_UNSUPPORTED'],
    ['there is no such interface', { interface: 'nope0', queues: [0] }, 'ENODEV'],
    ['the memory is of host type', { interface: 'lo', queues: [0] }, 'ERR_DEVMEM_WRONG_MEMORY'],
  ] as const)('copies and says why: %s', async ([, where, code]) => {
    using recorder = new Recorder<FallbackMessage>('devmem-tcp:fallback');
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    const queues = 'queues' in where ? { queues: [...where.queues] } : {};
    await using binding = await bindRx({ memory, ...where, ...queues });
    expect(binding.transport).toBe('copy');
    expect(binding.fallback).toMatchObject({ code });
    expect(recorder.messages).toEqual([
      { interface: 'interface' in where ? where.interface : undefined, reason: binding.fallback },
    ]);
    expect(binding).toMatchObject({ copies: true, queues: [], heldBytes: 0, heldLimit: SIZE });

    await using pair = await openPair(binding);
    pair.peer.end('arrives all the same');
    expect(await readText(pair.socket)).toBe('arrives all the same');
    expect(pair.socket.transport).toBe('copy');
  });

  it('is silent in mode copy, which is no fallback', async () => {
    using recorder = new Recorder<FallbackMessage>('devmem-tcp:fallback');
    await using memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    await using binding = await bindRx({ memory, mode: 'copy' });
    expect(binding.fallback).toBeUndefined();
    expect(recorder.messages).toEqual([]);
  });
});
