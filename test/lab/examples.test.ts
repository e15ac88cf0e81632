/** Programs of examples/ that receive into device memory. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';

import { Cli, MAIN } from '../support/cli.js';
import { ADDRESS, INTERFACE, steerToQueues } from './support/guest.js';
import { AUTO } from './support/transport.js';

const run = promisify(execFile);

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));
const EXCHANGE = fileURLToPath(new URL('support/exchange.mjs', import.meta.url));
const MiB = 2 ** 20;
const ON_QUEUE = ['--interface', INTERFACE, '--queues', '1'];

let restoreSteering: () => void;
let running: Cli | undefined;

beforeAll(() => {
  restoreSteering = steerToQueues(1, 1);
});

afterAll(() => {
  restoreSteering();
});

afterEach(() => {
  running?.[Symbol.dispose]();
});

function start(name: string, ...args: string[]): Cli {
  running = new Cli(args, { script: `${EXAMPLES}${name}.mjs` });
  return running;
}

/** Sends from the peer; the SHA-256 of each piece, and what came back. */
async function exchange(
  port: number,
  kind: 'raw' | 'records',
  ...lengths: number[]
): Promise<{ digests: string[]; answer: Buffer }> {
  const args = [EXCHANGE, ADDRESS.IPv4, String(port), kind, ...lengths.map(String)];
  const { stdout } = await run('peer', [process.execPath, ...args]);
  const { digests, answer } = JSON.parse(stdout) as { digests: string[]; answer: string };
  return { digests, answer: Buffer.from(answer, 'hex') };
}

async function expectEnds(program: Cli): Promise<void> {
  program.kill('SIGTERM');
  expect(await program.outcome).toMatchObject({ status: 0, stderr: '' });
}

it('the records service answers what has come into device memory', async () => {
  const program = start('records', '--port', '5201', ...ON_QUEUE);
  expect(await program.printed(/over (\w+)/)).toBe(AUTO);
  const lengths = [0, 1, 1000, 4096, 3 * MiB, 7];
  const { digests, answer } = await exchange(5201, 'records', ...lengths);
  expect(answer.toString('hex')).toBe(digests.map((digest) => `00000020${digest}`).join(''));
  await expectEnds(program);
});

it('a sink in another process uses what has come', async () => {
  const program = start('sink', '--port', '5201', ...ON_QUEUE);
  await program.printed(/listening/);
  const { digests } = await exchange(5201, 'raw', 7 * MiB + 1);
  const { status, stdout, stderr } = await program.outcome;
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain(`sink: sha256 ${digests[0]}`);
  expect(stdout).toContain(`received over ${AUTO}`);
});

it('the benchmark measures what a sender elsewhere sends', async () => {
  const program = start('benchmark', '--port', '5201', '--runs', '1', '--json', ...ON_QUEUE);
  await program.said(/listening/);
  const send = ['send', '--connect', `${ADDRESS.IPv4}:5201`, '--bytes', '4M'];
  for (let i = 0; i < 2; i++) await run('peer', [process.execPath, MAIN, ...send]);
  const { stdout } = await program.outcome;
  expect(JSON.parse(stdout)).toMatchObject({ transport: AUTO, runs: [{ bytes: 4 * MiB }] });
});

it('workers have the interface set up for a queue each, and put back', async () => {
  restoreSteering();
  const queues = ['--interface', INTERFACE, '--queues', '1,2'];
  const program = start('workers', '--port', '5201', ...queues);
  await program.printed(new RegExp(`worker 2 listens on port 5202, over ${AUTO}`));
  for (const port of [5201, 5202]) {
    const { digests, answer } = await exchange(port, 'raw', 2 * MiB);
    expect(answer.toString()).toBe(digests[0]);
  }
  await expectEnds(program);
  const { stdout } = await run('ethtool', ['-n', INTERFACE]);
  expect(stdout).toContain('Total 0 rules');
  restoreSteering = steerToQueues(1, 1);
});
