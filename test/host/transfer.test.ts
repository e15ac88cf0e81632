import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { LOOPBACK, LOOPBACK_6, openPair } from '../support/peers.js';
import { type ReadMode, readPattern, send } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const SIZES = [1, 2, 4095, 4096, 4097, 65_537, MiB + 1, 16 * MiB, 64 * MiB];
const MODES: ReadMode[] = ['fragments', 'batches'];

describeOverTransports('a stream', (transport) => {
  expectNoLeaks();

  it.for(SIZES.flatMap((size) => MODES.map((mode) => [size, mode] as const)))(
    'of %i bytes arrives whole and in order, read as %s',
    async ([size, mode]) => {
      await using bound = await bind(transport);
      await using pair = await openPair(bound.binding);
      const sent = send(pair.peer, size).then(() => pair.peer.end());
      expect(await readPattern(pair.socket, mode)).toBe(size);
      await sent;
      const { deviceBytes, linearBytes, copiedBytes, fragments, heldFragments } = pair.socket.stats;
      expect(deviceBytes).toBe(0);
      expect(linearBytes).toBe(transport === 'cmsg' ? size : 0);
      expect(copiedBytes).toBe(transport === 'copy' ? size : 0);
      expect(fragments).toBeGreaterThan(0);
      expect(heldFragments).toBe(0);
      expect(bound.binding.heldBytes).toBe(0);
    },
  );

  it.for([LOOPBACK, LOOPBACK_6])('arrives over %s', async (host) => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { host });
    expect(pair.socket.remoteAddress).toBe(host);
    const sent = send(pair.peer, MiB).then(() => pair.peer.end());
    expect(await readPattern(pair.socket)).toBe(MiB);
    await sent;
  });

  it('of no bytes at all ends at once', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    pair.peer.end();
    expect(await readPattern(pair.socket, 'fragments')).toBe(0);
    expect(pair.socket.stats.fragments).toBe(0);
  });

  it('tells its transport and where its fragments lie', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    pair.peer.end('hello');
    const kinds: string[] = [];
    for await (using fragment of pair.socket) {
      kinds.push(fragment.kind);
      if (fragment.kind === 'device') {
        expect(fragment.dmabufId).toBe(bound.binding.id);
        expect(fragment.memory).toBe(bound.memory);
        expect(fragment.offset + fragment.size).toBeLessThanOrEqual(bound.memory.size);
      } else {
        expect(fragment).toMatchObject({ dmabufId: 0, memory: undefined, offset: undefined });
      }
    }
    expect(pair.socket.transport).toBe(transport);
    expect(kinds).toEqual([transport === 'copy' ? 'device' : 'linear']);
  });
});
