/**
 * Programs that bind and receive by the kernel's own interface, as this package never would:
 * much at once, packets that are kept, plain reads among others. The lab fails where the
 * kernel complains.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { bindRx, DmaBuf } from 'devmem-tcp';
import { afterEach, beforeAll, expect, it } from 'vitest';

import {
  ACTION_TIMEOUT,
  ADDRESS,
  type Family,
  INTERFACE,
  run,
  rxQueues,
  sendSegments,
  setParameter,
  steerToQueues,
} from './support/guest.js';
import { mended, sayIfUnmended } from './support/mended.js';
import { poolsLeft, poolsLeftAfterClose } from './support/page-pools.js';
import { ending } from './support/programs.js';
import { receiveStreams } from './support/transfer.js';

const MiB = 2 ** 20;
const BYTES = 4 * MiB;
const QUEUE = 1;
const BY_HAND = fileURLToPath(new URL('support/by_hand.py', import.meta.url));
const PEERS = fileURLToPath(new URL('support/peers.py', import.meta.url));

sayIfUnmended('tokens that are guessed, and packets split and not that are merged');

const queues = rxQueues().length;
const execute = promisify(execFile);

beforeAll(() => steerToQueues(QUEUE, 1));

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

/** Runs by_hand.py with peers of a kind; hands what it says came of it to `look` before it ends. */
async function byHand(
  action: string,
  family: Family,
  kind: string,
  peers: number,
  look: (outcome: unknown) => Promise<void> | void,
): Promise<void> {
  const host = ADDRESS[family];
  const program = spawn('python3', [BY_HAND, action, host, INTERFACE, String(QUEUE)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // Left alone, it would keep the queue bound for those that come after.
    timeout: ACTION_TIMEOUT,
    killSignal: 'SIGKILL',
  });
  let started: ChildProcess[] = [];
  try {
    for await (const line of createInterface({ input: program.stdout })) {
      const said = JSON.parse(line) as { port?: number; outcome?: unknown };
      if (said.port === undefined) {
        await look(said.outcome);
        return;
      }
      const args = ['python3', PEERS, kind, host, String(said.port)];
      started = Array.from({ length: peers }, () => spawn('peer', args, { stdio: 'ignore' }));
    }
    throw new Error(`by_hand.py ${action} said nothing: ${await ending(program)}`);
  } finally {
    for (const each of [program, ...started]) each.kill('SIGKILL');
  }
}

/** Has the queues made anew over and over, by changes of their number, until called. */
function keepChangingChannels(): () => Promise<void> {
  const over = new AbortController();
  const setChannels = (to: number): Promise<unknown> =>
    execute('ethtool', ['-L', INTERFACE, 'combined', String(to)]);
  const changing = (async () => {
    for (let fewer = true; !over.signal.aborted; fewer = !fewer) {
      await setChannels(fewer ? queues - 1 : queues);
    }
  })();
  return async () => {
    over.abort();
    await changing;
    run('ethtool', '-L', INTERFACE, 'combined', String(queues));
  };
}

async function expectWholeStream(family: Family): Promise<void> {
  const memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  const options = { interface: INTERFACE, queues: [QUEUE], memory, mode: 'devmem' } as const;
  await using binding = await bindRx(options);
  const [received] = await receiveStreams(binding, family, BYTES);
  expect(received).toMatchObject({ firstWrong: -1, bytes: BYTES });
  expect(received!.stats.deviceBytes).toBe(BYTES);
  expect(await poolsLeftAfterClose(binding)).toBe(0);
  await memory.close();
}

/** Has the NIC split every packet, then none, over and over, until called. */
function keepChangingSplit(): () => Promise<void> {
  const restore = setParameter('linear_bytes', 0);
  const over = new AbortController();
  const changing = (async () => {
    for (let split = false; !over.signal.aborted; split = !split) {
      setParameter('linear_bytes', split ? 0 : 2048);
      await turn();
    }
  })();
  return async () => {
    over.abort();
    await changing;
    restore();
  };
}

interface Counted {
  received: number;
  peeked: number;
  returned: number;
  errors: string[];
}

it.runIf(mended).each<Family>(['IPv4', 'IPv6'])(
  'each token over %s is taken back once, whoever peeks, guesses, unbinds, ends and changes channels',
  async (family) => {
    const stop = keepChangingChannels();
    try {
      await byHand('all_at_once', family, 'again', 2, (outcome) => {
        const counted = outcome as Counted[];
        expect(counted.length).toBeGreaterThan(0);
        for (const { received, peeked, returned, errors } of counted) {
          expect(returned).toBe(received + peeked);
          expect(peeked).toBeGreaterThan(0);
          expect(['EAGAIN', 'EBUSY']).toEqual(expect.arrayContaining(errors));
        }
      });
    } finally {
      await stop();
    }
    expect(await poolsLeft()).toBe(0);
    await expectWholeStream(family);
  },
);

it('a packet that a socket keeps outlives the binding, and ends with the socket', async () => {
  await byHand('kept_packet', 'IPv6', 'message', 1, async (outcome) => {
    expect(outcome).toEqual({ whole: true, keeps: true });
    expect(await poolsLeft()).toBeGreaterThan(0);
    await expectWholeStream('IPv6');
  });
  expect(await poolsLeft()).toBe(0);
});

it.runIf(mended).each<Family>(['IPv4', 'IPv6'])(
  'of a stream over %s that is split and not, whoever reads plainly gets what can be read',
  async (family) => {
    undo.push(setParameter('careless', 1));
    sendSegments(true);
    undo.push(() => {
      sendSegments(false);
    });
    const stop = keepChangingSplit();
    try {
      await byHand('mixed', family, 'messages', 1, (whole) => {
        expect(whole).toBe(true);
      });
    } finally {
      await stop();
    }
    expect(await poolsLeft()).toBe(0);
    await expectWholeStream(family);
  },
);
