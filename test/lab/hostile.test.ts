/**
 * Programs that treat payload in device memory as what it is not, and tokens as theirs.
 * None may get at the payload, or disturb others; the lab fails where the kernel complains.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { bindForEachTest } from './support/bound.js';
import {
  ACTION_TIMEOUT,
  ADDRESS,
  type Family,
  INTERFACE,
  run,
  setParameter,
  steerToQueues,
} from './support/guest.js';
import { has, mended, mendedForReaders, sayIfUnmended, sharesNetIovs } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { ending } from './support/programs.js';
import { receiveStreams, startSender } from './support/transfer.js';

const MiB = 2 ** 20;
const BYTES = 4 * MiB;
const HOSTILE = fileURLToPath(new URL('support/hostile.py', import.meta.url));
const PEERS = fileURLToPath(new URL('support/peers.py', import.meta.url));
/** Of actions that take a peer of their own kind: which kind of peers.py. */
const PEER_KINDS: Readonly<Record<string, string>> = {
  md5: 'md5',
  ao: 'ao',
  wrong_md5: 'wrong_md5',
  wrong_ao: 'wrong_ao',
  mptcp: 'mptcp',
  ktls_records: 'tls_records',
  ktls_long_records: 'tls_records',
  sockmap_blocked: 'when_asked',
  sockmap_parser: 'pieces_when_asked',
};
/** Tokens that peeks may give out, and bytes of the kernel's memory that these may take. */
const PEEKED_TOKENS = 65535;
const PEEKED_TOKENS_BYTES = 4 * MiB;
/** Peeks after that, DEVMEM_PEEKS of them, and for how long: tens of microseconds each, emulated. */
const PEEKS = Number(process.env.DEVMEM_PEEKS ?? 20_000);
const PEEKS_TIMEOUT = ACTION_TIMEOUT + PEEKS / 10;
/** What a token takes at least: a pointer. */
const TOKEN_BYTES = 8;

sayIfUnmended('packet sockets, sockmap, TCP-MD5, MPTCP, tokens that a thread guesses');

const hasTcpAo = has('tcp_parse_ao');

const bound = bindForEachTest([1]);

function startPeer(action: string, host: string, port: number): ChildProcess {
  const kind = PEER_KINDS[action];
  if (kind === undefined) return startSender(host, port, BYTES, 'ignore');
  const args = ['python3', PEERS, kind, host, String(port)];
  return spawn('peer', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Runs hostile.py with a sender at the other end; what came of it. */
async function outcomeOf(action: string, host: string, timeout = ACTION_TIMEOUT): Promise<unknown> {
  const program = spawn('python3', [HOSTILE, host, action], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, DEVMEM_PEEKS: String(PEEKS) },
    // Left alone, it would keep the interface busy for those that come after.
    timeout,
    killSignal: 'SIGKILL',
  });
  let sender: ChildProcess | undefined;
  try {
    for await (const line of createInterface({ input: program.stdout })) {
      const said = JSON.parse(line) as { port?: number; outcome?: unknown };
      if (said.port === undefined) return said.outcome;
      sender = startPeer(action, host, said.port);
    }
    throw new Error(`hostile.py ${action} said nothing: ${await ending(program)}`);
  } finally {
    await ending(program);
    sender?.kill('SIGKILL');
  }
}

/** Whoever is well-behaved goes on receiving, and nothing is left behind. */
async function expectUndisturbed(family: Family): Promise<void> {
  const [received] = await receiveStreams(bound.binding, family, BYTES);
  expect(received).toMatchObject({ firstWrong: -1, bytes: BYTES });
  expect(received!.stats.deviceBytes).toBe(BYTES);
  expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
}

describe.each<Family>(['IPv4', 'IPv6'])('over %s', (family) => {
  const refused = [
    ['reads', 'read', ['EFAULT']],
    ['peeks', 'peek', ['EFAULT']],
    ['splices', 'splice', mendedForReaders ? ['EFAULT'] : ['EFAULT', 'EAGAIN', 0]],
    ['maps', 'zerocopy', [0]],
    ['lets TLS decrypt', 'ktls', ['EFAULT', 'EBADMSG', 'EINVAL']],
    ['gives back what it never had', 'forged_tokens', [0]],
  ] as const;

  it.each(refused)('who %s the payload gets nothing', async (_, action, answers) => {
    expect(answers).toContain(await outcomeOf(action, ADDRESS[family]));
    await expectUndisturbed(family);
  });

  it('who sends the payload on as a file gets nothing', async () => {
    const [toPipe, toFile] = (await outcomeOf('sendfile', ADDRESS[family])) as unknown[];
    expect(mendedForReaders ? ['EFAULT'] : ['EFAULT', 'EAGAIN', 0]).toContain(toPipe);
    // Linux wants a file that can be read at any position.
    expect(toFile).toBe('EINVAL');
    await expectUndisturbed(family);
  });

  it.runIf(mended)('who has sockmap hand it the payload gets nothing', async () => {
    expect(['EFAULT', 'EAGAIN']).toContain(await outcomeOf('sockmap', ADDRESS[family]));
    await expectUndisturbed(family);
  });

  it.runIf(mendedForReaders)('who waits for payload that sockmap cannot have gets it', async () => {
    expect(await outcomeOf('sockmap_blocked', ADDRESS[family])).toBe(true);
    await expectUndisturbed(family);
  });

  it.runIf(mendedForReaders)('who waits for what no parser gets past gets it', async () => {
    const pieces = (await outcomeOf('sockmap_parser', ADDRESS[family])) as [number, string[]][];
    expect(pieces.map(([missing]) => missing)).toEqual([0, 0, 0]);
    // That it has given up the parser says once.
    expect(pieces.flatMap(([, told]) => told).filter((each) => each !== 'EFAULT')).toEqual([]);
    await expectUndisturbed(family);
  });

  it.runIf(mendedForReaders)(
    'who peeks on and on gets no more tokens some day',
    { timeout: 2 * PEEKS_TIMEOUT },
    async () => {
      const outcome = (await outcomeOf('peek_on', ADDRESS[family], PEEKS_TIMEOUT)) as unknown[];
      const [tokens, error, well, taken, otherwise, charged] = outcome;
      expect({ tokens, error, well }).toEqual({
        tokens: PEEKED_TOKENS,
        error: 'EBUSY',
        well: true,
      });
      // However often.
      expect(otherwise).toBe(0);
      expect(taken).toBeLessThan(PEEKED_TOKENS_BYTES);
      // And not at the host's expense: the program's memory cgroup is charged.
      expect(charged).toBeGreaterThanOrEqual(PEEKED_TOKENS * TOKEN_BYTES);
      await expectUndisturbed(family);
    },
  );

  it.runIf(mended).each([
    ['records', 'ktls_records'],
    ['records that its buffer is too small for', 'ktls_long_records'],
  ])('TLS gives up %s of which it can read the header alone', async (_, action) => {
    // That is in a segment of its own, which the NIC leaves whole.
    const restore = setParameter('copybreak', 64);
    try {
      expect(['EFAULT', 'EBADMSG']).toContain(await outcomeOf(action, ADDRESS[family]));
    } finally {
      restore();
    }
    await expectUndisturbed(family);
  });

  it.runIf(mended)('no payload is taken of which a TCP-MD5 hash is required', async () => {
    expect(await outcomeOf('md5', ADDRESS[family])).toBe('EAGAIN');
    await expectUndisturbed(family);
  });

  it.runIf(mended && hasTcpAo)('nor of which a TCP-AO hash is required', async () => {
    expect(await outcomeOf('ao', ADDRESS[family])).toBe('EAGAIN');
    await expectUndisturbed(family);
  });

  it.runIf(mended)('nor whose TCP-MD5 hash a peer makes up who has no key', async () => {
    expect(await outcomeOf('wrong_md5', ADDRESS[family])).toBe('refused');
    await expectUndisturbed(family);
  });

  it.runIf(mended && hasTcpAo)('nor whose TCP-AO hash such a peer makes up', async () => {
    expect(await outcomeOf('wrong_ao', ADDRESS[family])).toBe('refused');
    await expectUndisturbed(family);
  });

  it.runIf(mended)('an MPTCP connection takes payload with a checksum for damaged', async () => {
    const setChecksums = (to: number): string =>
      run('peer', 'sysctl', '-q', `net.mptcp.checksum_enabled=${to}`);
    setChecksums(1);
    try {
      expect(await outcomeOf('mptcp', ADDRESS[family])).toEqual(['EFAULT', true]);
    } finally {
      setChecksums(0);
    }
    await expectUndisturbed(family);
  });

  it.runIf(sharesNetIovs).each(['packet_socket', 'packet_ring'])(
    'a %s captures headers alone',
    async (action) => {
      const [cut, headersOnly] = (await outcomeOf(action, ADDRESS[family])) as [boolean, boolean];
      expect({ cut, headersOnly }).toEqual({ cut: true, headersOnly: true });
      await expectUndisturbed(family);
    },
  );

  it.runIf(mended)('a thread that gives back whatever it guesses harms nobody', async () => {
    expect(await outcomeOf('thieving_thread', ADDRESS[family])).toBe(BYTES);
    await expectUndisturbed(family);
  });

  it('a child can give back what its parent received, and once only', async () => {
    expect(await outcomeOf('fork_with_tokens', ADDRESS[family])).toEqual([true, 0, 0]);
    await expectUndisturbed(family);
  });

  it('a process that ends with tokens leaves none behind', async () => {
    expect(await outcomeOf('end_with_tokens', ADDRESS[family])).toBe(true);
    await expectUndisturbed(family);
  });
});

it('no XDP program can be attached while memory is bound', async () => {
  expect(['EBUSY', 'EEXIST']).toContain(await outcomeOf('xdp', INTERFACE));
  await expectUndisturbed('IPv4');
});

it('the queue cannot be taken away while memory is bound', async () => {
  // The RSS table must not be what is in the way.
  run('ethtool', '-X', INTERFACE, 'default');
  expect(() => run('ethtool', '-L', INTERFACE, 'combined', '1')).toThrow(/Invalid argument/);
  steerToQueues(1, 1);
  await expectUndisturbed('IPv4');
});
