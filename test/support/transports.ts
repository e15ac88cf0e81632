import { constants } from 'node:os';

import { describe } from 'vitest';

import { type Binding, bindRx, DmaBuf, type TransportName } from 'devmem-tcp';
import { native } from '../../dist/native.js';
import { bindUnbound } from './internals.js';

const MIB = 2 ** 20;

/** Memory and a binding of it, closed together. */
export interface Bound extends AsyncDisposable {
  memory: DmaBuf;
  binding: Binding;
}

export interface BoundOptions {
  /** Bytes. Default 4 MiB. */
  size?: number;
  heldLimit?: number;
  /** The binding's id, on the cmsg transport. Default 1. */
  id?: number;
  /** How long reading may stand still before a warning. Default: for ever. */
  stallWarningMs?: number;
}

/**
 * Binds host memory for receiving, by the given transport and without a NIC. On the devmem
 * transport no queue is bound: the kernel takes the receive calls and hands out everything
 * as readable data, which is linear here.
 */
export async function bind(transport: TransportName, options: BoundOptions = {}): Promise<Bound> {
  const { size = 4 * MIB, heldLimit, id = 1, stallWarningMs = Infinity } = options;
  const limit = heldLimit === undefined ? {} : { heldLimit };
  const memory = await DmaBuf.allocate({ type: 'host', size });
  const binding =
    transport === 'copy'
      ? await bindRx({ memory, mode: 'copy', stallWarningMs, ...limit })
      : bindUnbound(memory, { id, heldLimit: heldLimit ?? size / 2 });
  return {
    memory,
    binding,
    async [Symbol.asyncDispose]() {
      await binding.close();
      await memory.close();
    },
  };
}

const kernelKnowsDevmem = native().dontneedError() !== -constants.errno.ENOPROTOOPT;

/** Describes the same behaviour over each transport that this kernel has. */
export function describeOverTransports(name: string, body: (transport: TransportName) => void) {
  describe(`${name} [copy]`, () => body('copy'));
  if (kernelKnowsDevmem) {
    describe(`${name} [cmsg]`, () => body('cmsg'));
  } else {
    const reason =
      'skipped: this kernel does not know SO_DEVMEM_DONTNEED; Linux 6.12 with CONFIG_NET_DEVMEM does';
    console.warn(`${name} [cmsg]: ${reason}`);
    describe.skip(`${name} [cmsg] (${reason})`, () => body('cmsg'));
  }
}
