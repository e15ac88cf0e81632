/** A file system over the network, whose client in the kernel cannot read what the server answers. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { describe, expect, it, onTestFinished } from 'vitest';

import { bindForEachTest } from './support/bound.js';
import { type Family, PEER_ADDRESS, statistic } from './support/guest.js';
import { mendedForReaders, sayIfUnmended } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { ending } from './support/programs.js';
import { receiveStreams } from './support/transfer.js';

const KiB = 2 ** 10;
const SERVER = fileURLToPath(new URL('support/nfs_server.py', import.meta.url));

sayIfUnmended('NFS over a bound queue');

const bound = bindForEachTest([1]);

/** A server at the peer; `line` is its next one. */
async function startNfsServer(family: Family): Promise<{ line(): Promise<unknown> }> {
  const command = ['python3', SERVER, PEER_ADDRESS[family]];
  const program = spawn('peer', command, { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    program.stdin.end();
    expect(await ending(program)).toBe('exit status 0');
  });
  const lines = createInterface({ input: program.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<unknown> => {
    const { value } = (await lines.next()) as { value?: string };
    if (value === undefined) throw new Error(`the NFS server is gone: ${await ending(program)}`);
    return JSON.parse(value);
  };
  expect(await line()).toBe('ready');
  return { line };
}

/** Has the kernel mount from there, which takes until `stop()` is called; how that ended it. */
function mountFrom(family: Family): { stop(): Promise<string> } {
  const mountpoint = mkdtempSync(join(tmpdir(), 'nfs-'));
  onTestFinished(() => rmdirSync(mountpoint));
  const address = PEER_ADDRESS[family];
  const { protocol, host } = {
    IPv4: { protocol: 'tcp', host: address },
    IPv6: { protocol: 'tcp6', host: `[${address}]` },
  }[family];
  const options = [
    ...['nfsvers=3', `proto=${protocol}`, 'port=2049', 'nolock', `addr=${address}`],
    ...[`mountproto=${protocol}`, 'mountport=2049'],
  ];
  // By itself, without NFS' own program, which would ask the server what it can.
  const args = ['-i', '-t', 'nfs', '-o', options.join(), `${host}:/`, mountpoint];
  const program = spawn('mount', args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const stop = async (): Promise<string> => {
    program.kill('SIGKILL');
    return ending(program);
  };
  onTestFinished(async () => {
    await stop();
  });
  return { stop };
}

describe.runIf(mendedForReaders).each<Family>(['IPv4', 'IPv6'])('over %s', (family) => {
  it('NFS gives up a connection whose answers it cannot read', async () => {
    const before = statistic('rx_split_packets');
    const server = await startNfsServer(family);
    const mount = mountFrom(family);
    expect(await server.line()).toEqual({ ended: 1 });
    // It has not taken it for an answer.
    expect(await server.line()).toEqual({ ended: 2 });
    expect(await mount.stop()).toBe('SIGKILL');
    expect(statistic('rx_split_packets')).toBeGreaterThanOrEqual(before + 2);

    const bytes = 512 * KiB;
    const [received] = await receiveStreams(bound.binding, family, bytes);
    expect(received).toMatchObject({ firstWrong: -1, bytes });
    expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
  });
});
