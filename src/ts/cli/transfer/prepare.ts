/** Setting the interface up for what `recv` is about to receive. */
import { lookup } from 'node:dns/promises';

import { allowsCopying } from '../../nic/fallback.js';
import { type Flow, type PreparedInterface, prepareInterface } from '../../nic/prepare.js';
import { withoutScope } from '../values.js';
import type { Receive } from './receive-options.js';

/** The interface as it was set up, or why it could not be; disposing of it puts all back. */
export class Preparation implements AsyncDisposable {
  readonly #prepared: PreparedInterface | undefined;
  /** In mode `auto`, why there is nothing but copying. */
  readonly failure: Error | undefined;

  constructor(prepared: PreparedInterface | undefined, failure?: Error) {
    this.#prepared = prepared;
    this.failure = failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#prepared?.restore();
  }
}

/** @returns undefined where nothing is to be done */
export async function prepareFor(asked: Receive): Promise<Preparation | undefined> {
  const { interface: name, queues } = asked;
  if (!asked.prepare || name === undefined || queues === undefined) return undefined;
  try {
    const flows = await flowsOf(asked);
    return new Preparation(await prepareInterface({ interface: name, queues, flows }));
  } catch (error) {
    if (asked.mode !== 'auto' || !allowsCopying(error)) throw error;
    return new Preparation(undefined, error);
  }
}

/** The connections to be steered: one flow for each address that the host's name has. */
async function flowsOf({ listen, connect }: Receive): Promise<Flow[]> {
  if (connect !== undefined) {
    const addresses = await addressesOf(connect.host);
    return addresses.map((remoteAddress) => ({ remoteAddress, remotePort: connect.port }));
  }
  if (listen === undefined) return [];
  if (listen.host === undefined) return [{ localPort: listen.port }];
  const addresses = await addressesOf(listen.host);
  return addresses.map((localAddress) => ({ localAddress, localPort: listen.port }));
}

async function addressesOf(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => withoutScope(address));
}
