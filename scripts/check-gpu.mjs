// @ts-check
// `npm run check:gpu`: whether the gather engine does on this machine's GPU what it does
// with the double of libcuda in the tests: bytes, the ends of workers and processes, tensors
// for another process; and how fast it is beside cuMemcpyDtoD.
//
//   node scripts/check-gpu.mjs [--device N] [--largest MIB] [--workers N]
//
// Exits with 0: all is well; 1: something is not; 69: there is no GPU to check. Speed is
// told, not judged.
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs, promisify } from 'node:util';

import { compile } from '../bench/lib/compile.mjs';
import { openCudaEngine } from '../dist/gather/cuda.js';
import { DmaBuf, probeMemory } from '../dist/index.js';
import { native } from '../dist/native.js';
import { generator } from '../test/support/generator.mjs';
import { firstWrong, fragmentsOf, memoryFor, randomBytes } from './gpu/fragments.mjs';

const MiB = 2 ** 20;
const NO_GPU = 69; // sysexits.h EX_UNAVAILABLE
const FRAGMENT_SIZES = [1448, 4096, 8948, 65_536];
const SEED = 1;
const EXAMPLES = fileURLToPath(new URL('../examples', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../test/host/children/cuda-gather.mjs', import.meta.url));

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: '0' },
    largest: { type: 'string', default: '256' },
    workers: { type: 'string', default: '100' },
  },
});
const device = Number(values.device);
const largest = Number(values.largest) * MiB;

let failures = 0;

/**
 * @param {boolean} well
 * @param {string} what
 */
function report(well, what) {
  if (!well) failures++;
  process.stdout.write(`${well ? 'ok    ' : 'FAILED'} ${what}\n`);
}

/** @param {number} bytes */
function sizeText(bytes) {
  return bytes >= MiB ? `${bytes / MiB} MiB` : `${bytes / 1024} KiB`;
}

/** @param {number} bytesPerSecond */
const speedText = (bytesPerSecond) => `${(bytesPerSecond / 1e9).toFixed(1)} GB/s`;

/** @param {number} bytes at least */
function allocate(bytes) {
  return DmaBuf.allocate({ type: 'cuda', size: Math.ceil(bytes / MiB) * MiB, device });
}

/**
 * Gathers fragments of one size and compares.
 *
 * @param {number} size bytes of a fragment
 * @param {number} total bytes of them all, about
 * @param {boolean} aligned
 */
async function checkBytes(size, total, aligned) {
  const random = generator(SEED);
  const count = Math.ceil(total / size);
  const source = await allocate(memoryFor(size, count));
  const start = aligned ? 0 : 3;
  const target = await allocate(count * size + start);
  const engine = await openCudaEngine(device);
  const bytes = randomBytes(source.size, random);
  source.write(0, bytes);
  const ranges = fragmentsOf(size, count, aligned, random);
  const began = performance.now();
  await engine.copy(source, ranges, target, start);
  const took = (performance.now() - began) / 1000;
  const wrong = firstWrong(bytes, ranges, target.read(start, count * size));
  await engine.close();
  await source.close();
  await target.close();
  const how = `${aligned ? 'aligned' : 'unaligned'} fragments of ${size} bytes, ${sizeText(total)}`;
  const found = wrong < 0 ? '' : `: fragment ${wrong} is wrong (seed ${SEED})`;
  report(wrong < 0, `${how}${found}, ${speedText((count * size) / took)} the first time`);
}

/**
 * How many bytes a second are gathered in batches of a launch each.
 *
 * @param {number} size bytes of a fragment
 */
async function gatherSpeed(size) {
  const random = generator(SEED);
  const { fragments } = native().CudaGather;
  const batches = Math.max(1, Math.floor(largest / (fragments * size)));
  const source = await allocate(memoryFor(size, fragments));
  const target = await allocate(batches * fragments * size);
  const engine = await openCudaEngine(device);
  const ranges = fragmentsOf(size, fragments, true, random);
  const gather = () =>
    Promise.all(
      Array.from({ length: batches }, (_, i) =>
        engine.copy(source, ranges, target, i * fragments * size),
      ),
    );
  await gather();
  let best = Infinity;
  for (let i = 0; i < 5; i++) {
    const began = performance.now();
    await gather();
    best = Math.min(best, performance.now() - began);
  }
  await engine.close();
  await source.close();
  await target.close();
  return (batches * fragments * size) / (best / 1000);
}

/** What cuMemcpyDtoD copies, in bytes a second; undefined where that cannot be measured. */
function memcpySpeed() {
  try {
    const program = compile('gpu-memcpy', ['scripts/gpu/memcpy.c'], ['-Wl,--no-as-needed', '-ldl']);
    const line = [String(device), String(largest), '20'];
    return Number(execFileSync(program, line, { encoding: 'utf8' }));
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    process.stdout.write(`speed  cuMemcpyDtoD could not be measured: ${message}\n`);
    return undefined;
  }
}

async function checkSpeed() {
  const memcpy = memcpySpeed();
  for (const size of FRAGMENT_SIZES) {
    const speed = await gatherSpeed(size);
    const beside =
      memcpy === undefined
        ? ''
        : `; cuMemcpyDtoD ${speedText(memcpy)}, ratio ${(speed / memcpy).toFixed(2)}`;
    process.stdout.write(`speed  fragments of ${size} bytes: ${speedText(speed)}${beside}\n`);
  }
}

/**
 * Runs a scenario of the tests in a process of its own, which is to end well.
 *
 * @param {string} scenario
 * @param {unknown} expected what it prints, as JSON
 */
function checkScenario(scenario, expected) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, scenario], {
    encoding: 'utf8',
    env: { ...process.env, GATHER_WORKERS: values.workers },
  });
  const well = status === 0 && stderr === '' && isDeepStrictEqual(parsed(stdout), expected);
  const ended = signal ?? `status ${status ?? 'unknown'}`;
  report(well, `scenario '${scenario}'${well ? '' : `: ${ended}, ${stdout} ${stderr}`}`);
}

/** @param {string} text */
const parsed = (text) => (text === '' ? undefined : /** @type {unknown} */ (JSON.parse(text)));

function checkScenarios() {
  const live = Object.fromEntries(Object.keys(native().cudaLive()).map((name) => [name, 0]));
  const copies = ['deviceToDevice', 'hostToDevice', 'deviceToHost', 'deviceToBytes'];
  for (const scenario of [...copies, 'bytesToDevice']) {
    checkScenario(scenario, { wrong: -1, live });
  }
  checkScenario('order', { inOrder: true, last: [249], before: 5 });
  checkScenario('closedMeanwhile', { text: 'hostgpu', registrations: 0, live });
  checkScenario('end', 'done');
  checkScenario('exit', 'exiting');
  process.stdout.write(`${values.workers} workers are terminated in mid-gather\n`);
  checkScenario('workers', { live });
}

/** Hands tensors to a process in Python, which reads them in the GPU's memory itself. */
async function checkHandOff() {
  const folder = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-check-'));
  const socket = path.join(folder, 'tensors');
  const [server, consumer] = ['serve-tensors.mjs', 'receive_tensors.py'].map((name) =>
    path.join(EXAMPLES, name),
  );
  const line = [server ?? '', socket, '--memory', 'cuda'];
  const serving = promisify(execFile)(process.execPath, line);
  try {
    while (!existsSync(socket) && serving.child.exitCode === null) await setTimeout(20);
    const receiving = promisify(execFile)('python3', [consumer ?? '', socket]);
    const [sent, received] = await Promise.all([serving, receiving]);
    const sums = (/** @type {string} */ text) => text.match(/crc32 \w+/g)?.join();
    const well = sums(sent.stdout) !== undefined && sums(sent.stdout) === sums(received.stdout);
    report(well, `tensors in another process${well ? '' : `: ${sent.stdout} ${received.stdout}`}`);
  } catch (error) {
    report(false, `tensors in another process: ${String(error)}`);
  } finally {
    // It waits for a consumer, where that could not start.
    serving.child.kill();
    rmSync(folder, { recursive: true });
  }
}

async function main() {
  const cuda = (await probeMemory()).find((probe) => probe.type === 'cuda');
  const gpu =
    cuda?.type === 'cuda' ? cuda.devices.find((each) => each.device === device) : undefined;
  if (cuda?.available !== true || gpu === undefined) {
    const why = cuda?.reason ?? `there is no device ${device}`;
    process.stderr.write(`check:gpu: no GPU to check, nothing was checked: ${why}\n`);
    return NO_GPU;
  }
  process.stdout.write(`device ${device}: ${gpu.name}, driver for CUDA ${cuda.driverVersion}\n`);
  for (const size of FRAGMENT_SIZES) {
    for (const total of [64 * 1024, MiB, 16 * MiB, largest].filter((each) => each <= largest)) {
      for (const aligned of [true, false]) await checkBytes(size, total, aligned);
    }
  }
  checkScenarios();
  await checkHandOff();
  await checkSpeed();
  process.stdout.write(failures === 0 ? 'all is well\n' : `${failures} checks FAILED\n`);
  return failures === 0 ? 0 : 1;
}

process.exitCode = await main();
