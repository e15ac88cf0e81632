import { setImmediate as immediate } from 'node:timers/promises';

import type { Fragment } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { resources, expectNoLeaks } from '../support/leaks.js';
import { Hoard } from '../support/hoard.js';
import { openPair } from '../support/peers.js';
import { bytesOf, readPattern, send, Verifier } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;

describeOverTransports('leases of fragments', (transport) => {
  expectNoLeaks();

  it('end in any order, long after the stream', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const sent = send(pair.peer, MiB).then(() => pair.peer.end());
    const verifier = new Verifier();
    const held: { fragment: Fragment; position: number }[] = [];
    for await (const fragment of pair.socket) {
      held.push({ fragment, position: verifier.bytes });
      verifier.look(bytesOf(fragment, bound.memory));
    }
    await sent;
    expect(verifier.bytes).toBe(MiB);
    expect(pair.socket.stats.heldFragments).toBe(held.length);

    // Every second one, backwards; then the rest, forwards.
    const evens = held.filter((_, index) => index % 2 === 0).reverse();
    const odds = held.filter((_, index) => index % 2 === 1);
    for (const { fragment } of evens) fragment.release();
    for (const { fragment, position } of odds) {
      new Verifier(position).look(bytesOf(fragment, bound.memory));
      fragment.release();
    }
    await immediate();
    expect(pair.socket.stats.heldFragments).toBe(0);
    expect(bound.binding.heldBytes).toBe(0);
  });

  it('outlive the socket: what is held stays readable until released', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    await using hoard = new Hoard(pair.socket);
    await send(pair.peer, 100_000);
    pair.peer.end();
    await hoard.takeAll();
    await pair.socket.close();
    expect(hoard.bytes).toBe(100_000);

    // Others come and go in the same memory meanwhile.
    await using other = await openPair(bound.binding);
    const sent = send(other.peer, 8 * MiB, 999).then(() => other.peer.end());
    expect(await readPattern(other.socket, 'batches', 999)).toBe(8 * MiB);
    await sent;

    hoard.check();
    expect(pair.socket.stats.heldFragments).toBeGreaterThan(0);
    hoard.releaseAll();
    expect(pair.socket.stats.heldFragments).toBe(0);
    expect(bound.binding.heldBytes).toBe(0);
  });

  it('keep a connection that is over from using descriptors once they end', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    await using hoard = new Hoard(pair.socket);
    await send(pair.peer, 1000);
    pair.peer.end();
    await hoard.takeAll();
    await pair.socket.close();
    const { sockets } = resources();
    hoard.releaseAll();
    expect(resources().sockets).toBe(sockets - 1);
  });

  it('end once each, however often they are released', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    await using hoard = new Hoard(pair.socket);
    await send(pair.peer, 1000);
    pair.peer.end();
    await hoard.takeAll();
    for (const batch of hoard.batches) {
      for (const fragment of batch) fragment.release();
      batch.release();
    }
    hoard.releaseAll();
    await immediate();
    expect(bound.binding.heldBytes).toBe(0);
    expect(pair.socket.stats.heldFragments).toBe(0);
  });
});

describe('leases of fragments in host memory', () => {
  expectNoLeaks();

  it('outlive binding and memory: an array of map() stays readable', async () => {
    const bound = await bind('copy');
    const view = bound.memory.map();
    const pair = await openPair(bound.binding);
    await send(pair.peer, 50_000);
    pair.peer.end();
    const hoard = new Hoard(pair.socket);
    await hoard.takeAll();
    const places = hoard.batches.flatMap((batch) => batch.runs());
    await pair[Symbol.asyncDispose]();
    await bound[Symbol.asyncDispose]();

    const verifier = new Verifier();
    for (const { offset, size } of places) verifier.look(view.subarray(offset, offset! + size));
    expect(verifier.bytes).toBe(50_000);
    hoard.releaseAll();
  });
});
