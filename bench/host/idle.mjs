// @ts-check
/** What a connection takes on which nothing happens. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { alternate } from '../lib/alternate.mjs';
import { parseJson } from '../lib/json.mjs';
import { median } from '../lib/statistics.mjs';

/** @typedef {{ before: number, after: number, cpuSeconds: number }} Sample */

const execute = promisify(execFile);
const RECEIVER = fileURLToPath(new URL('idle-receiver.mjs', import.meta.url));
const HOST = '127.0.0.1';

/**
 * @param {{ connections: number, seconds: number, rounds: number, note: (text: string) => void }} options
 */
export async function measureIdle({ connections, seconds, rounds, note }) {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
  });
  server.listen({ host: HOST, port: 0, backlog: 1024 });
  await once(server, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  /** @param {string} kind */
  const sample = (kind) => async () => {
    const args = ['--expose-gc', RECEIVER, kind, HOST, port, connections, seconds].map(String);
    const { stdout } = await execute(process.execPath, args);
    return /** @type {Sample} */ (parseJson(stdout));
  };
  const contenders = { devmem: sample('devmem'), netSocket: sample('netSocket') };
  const samples = await alternate(contenders, rounds, (name, round) => {
    note(`${connections} idle connections, round ${round + 1} of ${rounds}: ${name}`);
  });
  server.close();
  return samples;
}

/**
 * @param {Record<string, Sample[]>} samples
 * @param {{ connections: number, seconds: number }} options
 */
export function idleFigures({ devmem = [], netSocket = [] }, { connections, seconds }) {
  const kib = (/** @type {Sample[]} */ values) =>
    median(values.map(({ before, after }) => (after - before) / 1024 / connections));
  const cpu = (/** @type {Sample[]} */ values) =>
    median(values.map(({ cpuSeconds }) => (cpuSeconds * 1000) / seconds));
  return {
    idleKiBPerConnection: kib(devmem) - kib(netSocket),
    idleKiBDevmem: kib(devmem),
    idleKiBNetSocket: kib(netSocket),
    idleCpuMsPerSecond: cpu(devmem),
    idleCpuMsPerSecondNetSocket: cpu(netSocket),
  };
}
