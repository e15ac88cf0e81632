// @ts-check
// Random streams, consumers and faults on the real devmem path, for as long as one likes:
//
//   node scripts/soak.mjs [--minutes N] [--seed S] [--transport cmsg|queue|zcrx] [--kernel NAME]
//                         [--json FILE]
//
// The driver is in test/soak. It runs from a copy of what is built, so that the tree
// can be worked on meanwhile. Exits with the driver's status: 0, or 1 on the first
// thing that must not be.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Math.floor(Date.now() / 1000)) },
    transport: { type: 'string', default: 'cmsg' },
    kernel: { type: 'string' },
    json: { type: 'string' },
  },
});
for (const name of /** @type {const} */ (['minutes', 'seed'])) {
  if (!(Number(values[name]) > 0)) throw new Error(`--${name} takes a number above 0`);
}

/** By transport, the kernel that it is tried on where none is named. */
const KERNELS = new Map([
  ['cmsg', 'debian-6.12'],
  ['queue', 'queue-7'],
  ['zcrx', 'debian-7'],
]);
const { transport } = values;
const kernel = values.kernel ?? KERNELS.get(transport);
if (kernel === undefined || !KERNELS.has(transport)) {
  throw new Error(`--transport takes one of ${[...KERNELS.keys()].join(', ')}`);
}

// What the driver needs, as it is now.
const PARTS = ['package.json', 'dist', 'build/Release/devmem_tcp.node', 'test/soak'];
const PACKAGES = ['node_modules/node-gyp-build'];

const copy = mkdtempSync(path.join(tmpdir(), 'devmem-soak-'));
try {
  for (const part of [...PARTS, ...PACKAGES]) {
    cpSync(path.join(root, part), path.join(copy, part), { recursive: true });
  }
  process.exitCode = await run(kernel);
} finally {
  rmSync(copy, { recursive: true });
}

/** @param {string} kernel */
async function run(kernel) {
  const { minutes, seed, json } = values;
  // Checkpoints come on top of the minutes, and a host may be slow.
  const limit = Math.ceil(Number(minutes) * 90 + 600);
  const lab = [
    'kernel/lab/lab.mjs',
    '--kernel',
    kernel,
    '--timeout',
    limit,
    '--sim',
    'queues=8 header_split=1',
  ];
  const driver = [process.execPath, '--expose-gc', path.join(copy, 'test/soak/main.mjs')];
  const options = ['--minutes', minutes, '--seed', seed];
  process.stderr.write(`soak: ${minutes} minutes of ${transport} on ${kernel}, seed ${seed}\n`);
  const child = spawn(process.execPath, [...lab, '--', ...driver, ...options].map(String), {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, DEVMEM_TRANSPORT: transport },
  });
  let result = '';
  child.stdout.setEncoding('utf8').on('data', (piece) => (result += String(piece)));
  /** @type {number} */
  const status = await new Promise((resolve) => {
    child.on('close', (code) => {
      resolve(code ?? 1);
    });
  });
  if (json === undefined) process.stdout.write(result);
  else writeFileSync(json, result);
  if (status !== 0) {
    const again = `npm run soak -- --transport ${transport} --kernel ${kernel} --minutes ${minutes} --seed ${seed}`;
    process.stderr.write(`soak: FAILED; again: ${again}\n`);
  }
  return status;
}
