#!/usr/bin/env node
/** `npm run demo`: receives a verified stream in the best way that this machine has. */
import { parseArgs } from 'node:util';

import { TRANSPORTS } from '../receive/transports/all.js';
import { insideLab, labSurroundings, runInLab } from './demo/lab.js';
import { type DemoResult, type DemoSetup, runDemo } from './demo/receive.js';
import { parseBytes } from './format.js';
import { stdout } from './output.js';
import { runProgram } from './program.js';
import { receiveText } from './transfer/receive-report.js';

const HELP = `Receives a pseudo-random stream over TCP and verifies every byte where it landed.

  npm run demo [-- OPTIONS]

  --lab           on the real kernel path, in the lab's guest (needs QEMU; installs it where it can)
  --kernel NAME   the guest's kernel: debian-6.12 (default), debian-7; implies --lab
  --bytes SIZE    how much, e.g. 256M (default 1G, in the guest 64M)
  --json          print the result as JSON
  --help          this
`;

const HOST_BYTES = 2 ** 30;
const LAB_BYTES = 64 * 2 ** 20;
const MEMORY_BYTES = 64 * 2 ** 20;

interface Options {
  lab: boolean;
  json: boolean;
  kernel: string | undefined;
  bytes: string | undefined;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      lab: { type: 'boolean', default: false },
      kernel: { type: 'string' },
      bytes: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    stdout.write(HELP);
    return 0;
  }
  const { lab, json, kernel, bytes } = values;
  return demo({ lab: lab || kernel !== undefined, json, kernel, bytes });
}

async function demo(options: Options): Promise<number> {
  const bytes = bytesOf(options.bytes);
  if (options.lab && !insideLab) {
    const args = ['--bytes', String(bytes ?? LAB_BYTES), ...(options.json ? ['--json'] : [])];
    return runInLab(options.kernel, args);
  }
  const setup = setupHere(bytes);
  const result = await runDemo(setup, options.json);
  stdout.write(options.json ? `${JSON.stringify(result)}\n` : text(result));
  return result.verified ? 0 : 1;
}

function bytesOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = parseBytes(text);
  if (bytes === undefined || bytes < 1) {
    throw new RangeError(`--bytes must be a size such as 64M or 1G. Received '${text}'`);
  }
  return bytes;
}

function setupHere(bytes: number | undefined): DemoSetup {
  if (insideLab) {
    const surroundings = labSurroundings();
    return {
      bytes: bytes ?? LAB_BYTES,
      memoryBytes: MEMORY_BYTES,
      mode: 'devmem',
      ...surroundings,
    };
  }
  return {
    bytes: bytes ?? HOST_BYTES,
    memoryBytes: MEMORY_BYTES,
    mode: 'copy',
    interface: undefined,
    queues: undefined,
    host: '127.0.0.1',
    peerCommand: [],
  };
}

function text(result: DemoResult): string {
  const advice = TRANSPORTS[result.transport].copies
    ? "\n  The real devmem path needs a capable NIC; 'npm run demo -- --lab' runs it in a guest.\n"
    : '';
  return `\n${receiveText(result)}${advice}`;
}

await runProgram('demo', main);
