/** No byte is lost, whenever and however a connection is adopted that Node reads already. */
import type net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { adopt, type Binding, type DevmemSocket, type TransportName } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { type Manner, MANNERS, type Scene } from '../support/adoption.js';
import { deferred } from '../support/deferred.js';
import { expectNoLeaks } from '../support/leaks.js';
import { close } from '../support/peers.js';
import { generator } from '../support/random.js';
import { bytesOf, pattern } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

// Connections of each manner, over each transport: DEVMEM_ADOPTIONS=300 makes 10,800 of it.
const SEEDS = Number(process.env.DEVMEM_ADOPTIONS ?? 25);

class Adoption implements Scene {
  readonly random: (below: number) => number;
  /** What came to the first owner, in order. */
  readonly before: Uint8Array[] = [];
  /** Whether the first owner was told of bytes once it had given the connection away. */
  tookAfterwards = false;
  readonly #binding: Binding;
  readonly #socket = deferred<DevmemSocket>();
  adopted = false;

  constructor(seed: number, binding: Binding) {
    this.random = generator(seed);
    this.#binding = binding;
  }

  took(bytes: Uint8Array): void {
    this.before.push(Uint8Array.from(bytes));
  }

  adopt(socket: net.Socket, head?: Uint8Array): void {
    this.adopted = true;
    const options = head === undefined ? {} : { head };
    this.#socket.resolve(adopt(socket, { binding: this.#binding, ...options }));
    // Listening has Node read, as nothing must that the first owner does.
    if (this.random(2) === 0) socket.on('data', () => (this.tookAfterwards = true));
  }

  get socket(): Promise<DevmemSocket> {
    return this.#socket.promise;
  }
}

/** Writes so many bytes of the pattern in pieces of any size, at once or by and by. */
async function write(peer: net.Socket, bytes: number, random: Scene['random']): Promise<void> {
  for (let sent = 0; sent < bytes;) {
    const size = Math.min(1 + random(random(2) === 0 ? 500 : 40_000), bytes - sent);
    peer.write(pattern.slice(sent, size));
    sent += size;
    for (let turns = random(3); turns > 0; turns--) await nextTurn();
  }
  peer.end();
}

async function readAll(socket: DevmemSocket): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (using fragment of socket) {
    pieces.push(Uint8Array.from(bytesOf(fragment, socket.binding.memory)));
  }
  return pieces;
}

async function expectWhole(manner: Manner, transport: TransportName, seed: number): Promise<void> {
  await using bound = await bind(transport);
  const adoption = new Adoption(seed, bound.binding);
  const peer = await manner(adoption);
  peer.on('error', () => {});
  peer.resume();
  const bytes = 1 + adoption.random(200_000);
  const written = write(peer, bytes, adoption.random);
  const socket = await adoption.socket;
  const rest = await readAll(socket);
  await written;
  const all = Buffer.concat([...adoption.before, ...rest]);
  expect(all.length, `bytes, seed ${seed}`).toBe(bytes);
  expect(pattern.mismatch(0, all), `first wrong byte, seed ${seed}`).toBe(-1);
  expect(adoption.tookAfterwards, `told of data afterwards, seed ${seed}`).toBe(false);
  await socket.close();
  await close(peer);
}

describeOverTransports('a connection that is adopted', (transport) => {
  expectNoLeaks();

  it.for(Object.entries(MANNERS))('%s keeps every byte', async ([, manner], context) => {
    let seed = 0;
    // Which a stream that stands still would not tell.
    context.onTestFailed(() => {
      console.error(`failed with seed ${seed}`);
    });
    while (seed++ < SEEDS) await expectWhole(manner, transport, seed);
  });
});
