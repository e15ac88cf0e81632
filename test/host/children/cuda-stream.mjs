// A stream whose fragments lie in a GPU's memory: those need a NIC, these are made by hand.
import { once } from 'node:events';
import net from 'node:net';

import { descriptorOf } from '../../../dist/ipc/handle.js';
import { SocketReader } from '../../../dist/reader/reader.js';
import { Batch } from '../../../dist/receive/batch.js';
import { Binding } from '../../../dist/receive/binding.js';
import { Lease } from '../../../dist/receive/lease.js';
import { MemoryPool } from '../../../dist/receive/pool.js';
import { FragmentStream } from '../../../dist/receive/stream.js';
import { cmsg } from '../../../dist/receive/transports/cmsg.js';
import { random } from './random.mjs';

/**
 * @typedef {import('devmem-tcp').DmaBuf} DmaBuf
 * @typedef {import('../../../dist/receive/ring.js').Columns} Columns
 */

const ID = 1;

const InternalBatch =
  /** @type {{ make(lease: Lease, columns: Columns, base: number, linear?: Buffer): Batch }} */ (
    /** @type {unknown} */ (Batch)
  );
const InternalBinding = /** @type {{ make(parts: object): Binding }} */ (
  /** @type {unknown} */ (Binding)
);
const InternalReader =
  /** @type {{ make(stream: FragmentStream, unlock: () => void): SocketReader }} */ (
    /** @type {unknown} */ (SocketReader)
  );

/**
 * A stream whose fragments lie in a GPU's memory, or are linear, as they are pushed.
 */
export class DeviceStream {
  /** Fragments that are held. */
  held = 0;
  /** @type {(number: number) => void} Called with each fragment that is given back. */
  onReleased = () => {};
  #numbers = 0;
  #at = 0;
  /** @type {net.Socket[]} */
  #sockets = [];
  #binding;

  /** @param {DmaBuf} memory */
  constructor(memory) {
    this.memory = memory;
    this.#binding = InternalBinding.make({
      transport: cmsg,
      pool: MemoryPool.reserve(memory),
      id: ID,
      interface: 'none',
      queues: [],
      heldLimit: memory.size,
      stallWarningMs: Infinity,
      ringBytes: 0,
    });
    this.stream = new FragmentStream([this.#binding], () => 'none');
    this.lessor = {
      uncloneable: Symbol.for('devmem-tcp test'),
      /** @param {number} first @param {number} count */
      releaseRange: (first, count) => {
        for (let i = 0; i < count; i++) this.#released(first + i);
      },
      /** @param {number} number */
      releaseOne: (number) => {
        this.#released(number);
      },
      /** @param {number} id */
      memoryOf: (id) => (id === ID ? memory : undefined),
    };
    this.reader = InternalReader.make(this.stream, () => {});
  }

  /** @param {DmaBuf} memory */
  static async open(memory) {
    const made = new DeviceStream(memory);
    const server = net.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = /** @type {net.AddressInfo} */ (server.address());
    const client = net.connect(port, '127.0.0.1');
    const [[peer]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
    server.close();
    made.#sockets = [client, peer];
    // Nothing ever comes there.
    made.stream.open(descriptorOf(client, 'TCP') ?? -1);
    return made;
  }

  /**
   * A batch of such pieces, each written somewhere in the memory, or linear.
   *
   * @param {Buffer[]} pieces
   * @param {number} [linear] one of so many is; 0: none
   */
  push(pieces, linear = 0) {
    const count = pieces.length;
    const offsets = new Float64Array(count);
    const sizes = new Uint32Array(count);
    const sources = new Uint32Array(count);
    /** @type {Buffer[]} */
    const linears = [];
    let linearBytes = 0;
    pieces.forEach((piece, i) => {
      sizes[i] = piece.length;
      if (linear > 0 && random(linear) === 0) {
        offsets[i] = linearBytes;
        linearBytes += piece.length;
        linears.push(piece);
        return;
      }
      sources[i] = ID;
      if (this.#at + piece.length > this.memory.size) this.#at = 0;
      offsets[i] = this.#at;
      this.memory.write(this.#at, piece);
      this.#at += piece.length + random(3);
    });
    const lease = new Lease(this.lessor, this.#numbers, count);
    this.#numbers += count;
    this.held += count;
    const bytes = linears.length > 0 ? Buffer.concat(linears) : undefined;
    this.stream.cursor.push(InternalBatch.make(lease, { offsets, sizes, sources }, 0, bytes));
  }

  end() {
    this.stream.cursor.end(undefined);
  }

  async close() {
    this.stream.stop();
    this.stream.detach();
    for (const socket of this.#sockets) socket.destroy();
    await this.#binding.close();
    await this.memory.close();
  }

  /** @param {number} number */
  #released(number) {
    this.held--;
    this.onReleased(number);
  }
}
