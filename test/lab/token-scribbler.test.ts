/**
 * Whatever a program writes into the memory of token queues, and however it then uses the
 * queues, it disturbs nobody but itself: kernel/patches/linux-7-token-queue.
 *
 * Longer, and with the kernel's own checks:
 *
 *   DEVMEM_SCRIBBLE_SECONDS=600 npm run test:lab -- --kernel debug-queue-7 \
 *     test/lab/token-scribbler.test.ts -t IPv4
 *
 * DEVMEM_SCRIBBLE_SEED takes the seed that a run has printed. Several threads act on what they
 * draw, so that their order is another one each time.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import type { Readable } from 'node:stream';

import { bindRx, DmaBuf } from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  INTERFACE,
  PEER_ADDRESS,
  sendSegments,
  setParameter,
  steerToQueues,
} from './support/guest.js';
import { hasTokenQueue } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { compilePrograms } from './support/queue/programs.js';

const MEMORY_BYTES = 64 * 2 ** 20;
const SECONDS = Number(process.env.DEVMEM_SCRIBBLE_SECONDS ?? 4);
const SEED = Number(process.env.DEVMEM_SCRIBBLE_SEED ?? Date.now() % 2 ** 31);
/** Milliseconds beyond these seconds. */
const PATIENCE = 300_000;
/** Where programs say what they have to say, in lines of JSON. */
const REPORT = 4;

if (!hasTokenQueue) {
  console.warn("skipped: queues of tokens, which this kernel has none of. '--kernel queue-7' has");
}

interface Said {
  port?: number;
  ready?: boolean;
  outcome?: Record<string, number>;
}

/** One of the programs, with what it says and how it ends. */
class Program {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<unknown[]>;

  constructor(command: readonly string[], memory: DmaBuf) {
    const [file = '', ...args] = command;
    this.#process = spawn(file, args, {
      stdio: ['pipe', 'inherit', 'inherit', memory.fd, 'pipe'],
    });
    const report = this.#process.stdio[REPORT] as Readable;
    this.#lines = createInterface({ input: report })[Symbol.asyncIterator]();
    this.#exited = once(this.#process, 'exit');
  }

  async says(): Promise<Said> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`a program ended: ${String(await this.#exited)}`);
    return JSON.parse(next.value) as Said;
  }

  /** Has it end, if it goes by that. */
  end(): void {
    this.#process.stdin!.end();
  }

  async outcome(): Promise<Record<string, number>> {
    const { outcome } = await this.says();
    const [status] = await this.#exited;
    expect(status).toBe(0);
    return outcome!;
  }

  [Symbol.dispose](): void {
    this.#process.kill('SIGKILL');
  }
}

describe.runIf(hasTokenQueue).each(['IPv4', 'IPv6'] as const)('over %s', (family) => {
  let programs: Readonly<Record<'source' | 'bystander' | 'scribbler', string>>;
  let memory: DmaBuf;

  beforeAll(async () => {
    programs = compilePrograms('source', 'bystander', 'scribbler');
    memory = await DmaBuf.allocate({ type: 'udmabuf', size: MEMORY_BYTES });
    return steerToQueues(1, 1);
  });

  afterAll(() => memory.close());

  async function scribble(seed: number): Promise<void> {
    console.log(`scribbling for ${SECONDS} s over ${family}, seed ${seed}`);
    const options = { interface: INTERFACE, queues: [1], memory, mode: 'devmem' } as const;
    await using binding = await bindRx(options);
    const host = PEER_ADDRESS[family];
    using source = new Program(['peer', programs.source, host], memory);
    const address = [host, String((await source.says()).port)];
    using bystander = new Program([programs.bystander, ...address, String(seed)], memory);
    expect(await bystander.says()).toEqual({ ready: true });
    const args = [...address, String(seed), String(SECONDS)];
    using scribbler = new Program([programs.scribbler, ...args], memory);

    const scribbled = await scribbler.outcome();
    bystander.end();
    const stood = await bystander.outcome();
    console.log(JSON.stringify({ seed, scribbled, stood }));

    for (const often of Object.values(scribbled)) expect(often).toBeGreaterThan(0);
    expect(stood).toMatchObject({ invalid: 0, unknown: 0, returned: stood.queueFragments });
    expect(stood.cmsgBytes).toBeGreaterThan(0);
    expect(stood.queueBytes).toBeGreaterThan(0);
    source.end();
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  }

  const timeout = SECONDS * 1000 + PATIENCE;

  it('who writes anything anywhere disturbs no stream but its own', { timeout }, async () => {
    await scribble(SEED);
  });

  it('nor where fragments are small, and have bytes in front of them', { timeout }, async () => {
    const restore = setParameter('linear_bytes', 100);
    sendSegments(true);
    try {
      await scribble(SEED + 1);
    } finally {
      sendSegments(false);
      restore();
    }
  });
});
