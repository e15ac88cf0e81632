/** Setting the interface up from nothing, receiving, and leaving it as it was. */
import {
  bindRx,
  connect,
  createServer,
  DmaBuf,
  planInterface,
  prepareInterface,
  type PrepareOptions,
} from 'devmem-tcp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { getRings, setRings } from '../../dist/nic/netlink/ethtool.js';
import {
  ADDRESS,
  type Family,
  INTERFACE,
  PEER_ADDRESS,
  run,
  setHeaderSplit,
  setParameter,
  statistic,
} from './support/guest.js';
import {
  hasRssContexts,
  journals,
  makeBare,
  rssQueues,
  ruleCount,
  snapshot,
} from './support/nic.js';
import { patternReader, type Received, receiveStreams, startServer } from './support/transfer.js';

const MiB = 2 ** 20;
const PORT = 5201;

const contexts = await hasRssContexts();

let memory: DmaBuf;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 32 * MiB });
});

beforeEach(makeBare);

afterAll(async () => {
  await memory.close();
  await makeBare();
  await setHeaderSplit(true);
});

const options = (more: Partial<PrepareOptions> = {}): PrepareOptions => ({
  interface: INTERFACE,
  queues: [3],
  flows: [{ localPort: PORT }],
  ...more,
});

/** All of the stream, right, and every byte of it in device memory. */
function expectAllInDevice(received: Received | undefined, bytes: number): void {
  expect(received).toMatchObject({ firstWrong: -1, bytes });
  expect(received!.stats.deviceBytes).toBe(bytes);
  expect(received!.stats.linearBytes).toBe(0);
}

describe('a bare interface', () => {
  it('is only looked at by a plan, which tells every step', async () => {
    const before = await snapshot();
    const plan = await planInterface(options());
    expect(await snapshot()).toBe(before);
    expect(plan).toMatchObject({ interface: INTERFACE, driver: 'devmemsim', queues: [3] });
    expect(plan.blockers).toEqual([]);
    expect(plan.steps.filter((step) => step.changes).map((step) => step.setting)).toEqual([
      'header-split',
      'rss',
      'flow-rule',
      'flow-rule',
    ]);
    expect(String(plan)).toContain(`ethtool -G ${INTERFACE} tcp-data-split on`);
    expect(String(plan)).toContain(`ethtool -X ${INTERFACE} equal 3`);
    expect(String(plan)).toContain(`flow-type tcp6 dst-port ${PORT} action 3`);
  });

  it.each<Family>(['IPv4', 'IPv6'])(
    'receives a server’s stream over %s all in device memory, and is as before afterwards',
    async (family) => {
      const bytes = 16 * MiB;
      const before = await snapshot();
      {
        await using prepared = await prepareInterface(options());
        expect(rssQueues()).toEqual([0, 1, 2]);
        expect(prepared.plan.changes).toBe(true);
        expect((await planInterface(options())).steps.filter((step) => step.changes)).toEqual([]);
        await using binding = await bindRx({
          interface: INTERFACE,
          queues: [3],
          memory,
          mode: 'devmem',
        });
        const [received] = await receiveStreams(binding, family, bytes, 1, PORT);
        expectAllInDevice(received, bytes);
      }
      expect(await snapshot()).toBe(before);
      expect(journals()).toEqual([]);
    },
  );

  it.each<Family>(['IPv4', 'IPv6'])(
    'receives a client’s stream over %s all in device memory, and is as before afterwards',
    async (family) => {
      const bytes = 8 * MiB;
      const before = await snapshot();
      const host = PEER_ADDRESS[family];
      const server = await startServer(host, 7000, bytes);
      try {
        const flows = [{ remoteAddress: host, remotePort: 7000 }];
        await using prepared = await prepareInterface(options({ flows }));
        expect(prepared.plan.steps.filter((step) => step.setting === 'flow-rule')).toHaveLength(1);
        await using binding = await bindRx({
          interface: INTERFACE,
          queues: [3],
          memory,
          mode: 'devmem',
        });
        await using socket = await connect({ host, port: 7000, binding });
        expectAllInDevice(await patternReader(socket), bytes);
      } finally {
        server.kill();
      }
      expect(await snapshot()).toBe(before);
    },
  );

  it.runIf(!contexts)(
    'gives each flow a queue in turn where there are no RSS contexts',
    async () => {
      const flows = [{ localPort: PORT }, { localPort: PORT + 1 }];
      const before = await snapshot();
      const prepared = await prepareInterface(options({ queues: [2, 3], flows }));
      expect(prepared.plan.notes.join()).toContain('no RSS contexts: each flow goes to one');
      const rules = run('ethtool', '-n', INTERFACE);
      for (const queue of [2, 3]) expect(rules).toContain(`Action: Direct to queue ${queue}`);
      await prepared.restore();
      expect(await snapshot()).toBe(before);
    },
  );

  it.runIf(contexts)('spreads the connections of one port over several queues', async () => {
    const before = await snapshot();
    const queues = [2, 3];
    const fragments = (): number[] => queues.map((queue) => statistic(`rx${queue}_device_frags`));
    {
      await using prepared = await prepareInterface(options({ queues }));
      const context = prepared.plan.steps.find(({ setting }) => setting === 'rss-context');
      expect(context).toMatchObject({ wanted: 'queues 2-3', changes: true });
      await using binding = await bindRx({ interface: INTERFACE, queues, memory, mode: 'devmem' });
      const start = fragments();
      const bytes = 4 * MiB;
      for (const received of await receiveStreams(binding, 'IPv4', bytes, 2, PORT)) {
        expectAllInDevice(received, bytes);
      }
      // Enough connections that the hash of their ports leads to both queues.
      await using server = createServer({ binding }, async (socket) => {
        for await (const batch of socket.batches()) batch.release();
      });
      await server.listen({ host: ADDRESS.IPv4, port: PORT });
      const connect = `head -c 20000 /dev/zero > /dev/tcp/${ADDRESS.IPv4}/${PORT}`;
      run('peer', 'bash', '-c', `for each in {1..24}; do ${connect}; done`);
      expect(fragments().map((count, at) => count > start[at]!)).toEqual([true, true]);
    }
    expect(await snapshot()).toBe(before);
  });

  it('sends only the connection with all of the five to the queue', async () => {
    const flows = [
      {
        localAddress: ADDRESS.IPv4,
        localPort: PORT,
        remoteAddress: PEER_ADDRESS.IPv4,
        remotePort: 40000,
      },
    ];
    await using prepared = await prepareInterface(options({ flows }));
    const rule = run('ethtool', '-n', INTERFACE);
    expect(rule).toContain(`Src IP addr: ${PEER_ADDRESS.IPv4} mask: 0.0.0.0`);
    expect(rule).toContain(`Dest IP addr: ${ADDRESS.IPv4} mask: 0.0.0.0`);
    expect(rule).toContain('Src port: 40000 mask: 0x0');
    expect(rule).toContain(`Dest port: ${PORT} mask: 0x0`);
    await prepared.restore();
    expect(ruleCount()).toBe(0);
  });
});

it('falls back to the local side of a flow where the driver cannot match both', async () => {
  const restoreParameter = setParameter('dst_only', 1);
  try {
    const flow = { localAddress: ADDRESS.IPv4, localPort: PORT, remotePort: 40000 };
    await using prepared = await prepareInterface(options({ flows: [flow] }));
    const rules = run('ethtool', '-n', INTERFACE);
    expect(rules).toContain('Src port: 0 mask: 0xffff');
    expect(rules).toContain(`Dest IP addr: ${ADDRESS.IPv4} mask: 0.0.0.0`);
    expect(rules).toContain(`Dest port: ${PORT} mask: 0x0`);
    await prepared.restore();
    expect(ruleCount()).toBe(0);
    const client = prepareInterface(options({ flows: [{ remotePort: 80 }] }));
    await expect(client).rejects.toMatchObject({ code: 'ERR_DEVMEM_STEP_FAILED' });
    expect(journals()).toEqual([]);
  } finally {
    restoreParameter();
  }
});

it('steers IPv4 alone where the driver has no rules for IPv6, and nobody asked for them', async () => {
  const restoreParameter = setParameter('ipv4_only', 1);
  try {
    const before = await snapshot();
    const prepared = await prepareInterface(options());
    const { plan } = prepared;
    expect(ruleCount()).toBe(1);
    expect(plan.notes).toContainEqual(
      expect.stringContaining(`the driver has no such rules: tcp6 to *:${PORT} from any.`),
    );
    expect(plan.steps.at(-1)).toMatchObject({ changes: false, wanted: 'no rule' });
    expect(String(plan)).not.toContain('flow-type tcp6');
    await prepared.restore();
    expect(await snapshot()).toBe(before);
    for (const flow of [
      { family: 6, localPort: PORT },
      { localAddress: ADDRESS.IPv6, localPort: PORT },
    ] as const) {
      const asked = prepareInterface(options({ flows: [flow] }));
      await expect(asked).rejects.toMatchObject({
        code: 'ERR_DEVMEM_STEP_FAILED',
        cause: { code: 'ENOTSUP', syscall: 'ethtool add-rule' },
      });
      await expect(asked).rejects.toThrow('where IPv4 will do, leave IPv6 out');
    }
    expect(await snapshot()).toBe(before);
    expect(journals()).toEqual([]);
  } finally {
    restoreParameter();
  }
});

describe('what was set before comes back', () => {
  it('channels, which are raised to have the queue', async () => {
    run('ethtool', '-L', INTERFACE, 'combined', '2');
    const before = await snapshot();
    const prepared = await prepareInterface(options());
    expect(rssQueues()).toEqual([0, 1, 2]);
    expect(prepared.plan.steps[0]).toMatchObject({ current: '2 combined', wanted: '4 combined' });
    await prepared.restore();
    expect(await snapshot()).toBe(before);
  });

  it('channels, which are raised to leave a queue for other traffic', async () => {
    run('ethtool', '-L', INTERFACE, 'combined', '2');
    const before = await snapshot();
    const prepared = await prepareInterface(options({ queues: [0, 1] }));
    expect(rssQueues()).toEqual([2]);
    await prepared.restore();
    expect(await snapshot()).toBe(before);
  });

  it('an RSS table of one’s own', async () => {
    run('ethtool', '-X', INTERFACE, 'weight', '3', '0', '1', '2');
    const before = await snapshot();
    const prepared = await prepareInterface(options());
    expect(rssQueues()).toEqual([0, 2]);
    await prepared.restore();
    expect(await snapshot()).toBe(before);
  });

  it('ntuple filters that were off', async () => {
    run('ethtool', '-K', INTERFACE, 'ntuple', 'off');
    const before = await snapshot();
    const prepared = await prepareInterface(options());
    expect(run('ethtool', '-k', INTERFACE)).toMatch(/^ntuple-filters: on/m);
    await prepared.restore();
    expect(await snapshot()).toBe(before);
  });

  it('a split threshold, on kernels that have one', async () => {
    if ((await getRings(INTERFACE))?.hdsThreshold === undefined) {
      expect((await planInterface(options())).steps.map((step) => step.setting)).not.toContain(
        'hds-thresh',
      );
      return;
    }
    await setHeaderSplit(true);
    await setRings(INTERFACE, { hdsThreshold: 256 });
    const before = await snapshot();
    const prepared = await prepareInterface(options());
    expect((await getRings(INTERFACE))?.hdsThreshold).toBe(0);
    await prepared.restore();
    expect(await snapshot()).toBe(before);
  });

  it('an interface on which nothing had to be done', async () => {
    const first = await prepareInterface(options());
    const before = await snapshot();
    const second = await prepareInterface(options({ queues: [2], flows: [] }));
    await second.restore();
    expect(await snapshot()).toBe(before);
    await first.restore();
  });
});

describe('restoring', () => {
  it('is refused while memory is bound, and works once it is not', async () => {
    const before = await snapshot();
    const prepared = await prepareInterface(options());
    const set = await snapshot();
    const binding = await bindRx({ interface: INTERFACE, queues: [3], memory, mode: 'devmem' });
    await expect(prepared.restore()).rejects.toMatchObject({ code: 'ERR_DEVMEM_STILL_BOUND' });
    await expect(prepared.restore()).rejects.toThrow(`3 (binding ${binding.id})`);
    expect(await snapshot()).toBe(set);
    await binding.close();
    await prepared.restore();
    expect(await snapshot()).toBe(before);
  });

  it('gives the same report however often it is called', async () => {
    const prepared = await prepareInterface(options());
    const [first, second] = await Promise.all([prepared.restore(), prepared.restore()]);
    expect(second).toBe(first);
    expect(await prepared.restore()).toBe(first);
    expect(first.settings.map(({ what, outcome }) => [what, outcome])).toEqual([
      [`rule tcp6 to *:${PORT} from any`, 'restored'],
      [`rule tcp4 to *:${PORT} from any`, 'restored'],
      ['RSS table', 'restored'],
      ['header split', 'restored'],
    ]);
  });

  it('leaves alone what somebody else changed meanwhile, and says so', async () => {
    const prepared = await prepareInterface(options());
    run('ethtool', '-X', INTERFACE, 'equal', '1');
    run('ethtool', '-N', INTERFACE, 'delete', '0');
    run(
      'ethtool',
      '-N',
      INTERFACE,
      'flow-type',
      'udp4',
      'dst-port',
      '53',
      'action',
      '1',
      'loc',
      '0',
    );
    const { settings } = await prepared.restore();
    expect(settings).toMatchObject([
      { what: `rule tcp6 to *:${PORT} from any`, outcome: 'restored' },
      { what: `rule tcp4 to *:${PORT} from any`, outcome: 'skipped' },
      { what: 'RSS table', outcome: 'skipped' },
      { what: 'header split', outcome: 'restored' },
    ]);
    expect(settings[2]!.detail).toContain('somebody else set it to queues 0');
    expect(rssQueues()).toEqual([0]);
    expect(run('ethtool', '-n', INTERFACE)).toContain('UDP over IPv4');
    expect(journals()).toEqual([]);
  });

  it('finds nothing to do where somebody put everything back already', async () => {
    const before = await snapshot();
    const prepared = await prepareInterface(options());
    await makeBare();
    const { settings } = await prepared.restore();
    expect(new Set(settings.map(({ outcome }) => outcome))).toEqual(new Set(['unchanged']));
    expect(await snapshot()).toBe(before);
  });
});
