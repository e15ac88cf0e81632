import { Readable } from 'node:stream';

import { type Batch, COUNTER_NAMES } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { closing, openPair } from '../support/peers.js';
import { eachPiece, readPattern, send, Verifier } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;

describeOverTransports('the counters of a socket', (transport) => {
  expectNoLeaks();

  it('are the same memory at each look, and what stats says', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const { counters } = pair.socket;
    expect([...counters]).toEqual(COUNTER_NAMES.map(() => 0));
    const sent = send(pair.peer, MiB).then(() => pair.peer.end());
    expect(await readPattern(pair.socket)).toBe(MiB);
    await sent;
    expect(pair.socket.counters).toBe(counters);
    expect(pair.socket.stats).toMatchObject(
      Object.fromEntries(COUNTER_NAMES.map((name, index) => [name, counters[index]])),
    );
    expect(counters[COUNTER_NAMES.indexOf('fragments')]).toBeGreaterThan(0);
  });
});

describeOverTransports('a socket as a web stream', (transport) => {
  expectNoLeaks();

  it('yields its batches', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const sent = send(pair.peer, 4 * MiB).then(() => pair.peer.end());
    const verifier = new Verifier();
    for await (using batch of pair.socket.toReadableStream()) {
      eachPiece(batch, bound.memory, (piece) => verifier.look(piece));
    }
    await sent;
    expect(verifier.bytes).toBe(4 * MiB);
  });

  it('closes the connection when it is cancelled, and leaves nothing held', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    void send(pair.peer, 32 * MiB).catch(() => {});
    const gone = closing(pair.peer);
    const reader = pair.socket.toReadableStream().getReader();
    (await reader.read()).value?.release();
    await reader.cancel();
    pair.peer.end();
    await gone;
    expect(pair.socket.closed).toBe(true);
    expect(bound.binding.heldBytes).toBe(0);
  });
});

describeOverTransports('a stream.Readable made of the batches of a socket', (transport) => {
  expectNoLeaks();

  it('yields them all, and ends', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const sent = send(pair.peer, 4 * MiB).then(() => pair.peer.end());
    const verifier = new Verifier();
    for await (const batch of Readable.from(pair.socket.batches()) as AsyncIterable<Batch>) {
      eachPiece(batch, bound.memory, (piece) => verifier.look(piece));
      batch.release();
    }
    await sent;
    expect(verifier.bytes).toBe(4 * MiB);
  });

  it('closes the connection when it is destroyed', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    void send(pair.peer, 32 * MiB).catch(() => {});
    const gone = closing(pair.peer);
    const readable = Readable.from(pair.socket.batches(), { highWaterMark: 1 });
    const [first] = (await readable.take(1).toArray()) as Batch[];
    first!.release();
    readable.destroy();
    pair.peer.end();
    await gone;
    expect(pair.socket.closed).toBe(true);
  });
});
