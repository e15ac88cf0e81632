// @ts-check
/**
 * The lab as a function: makes everything ready, boots a guest, runs one command in
 * it, and says how that went.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import { endChild, startBound, temporaryFolder } from './children.mjs';
import { followGuest } from './guest.mjs';
import { buildDriver } from './driver.mjs';
import { ensureKernel } from './ensure.mjs';
import { ensureHostPackages } from './hostpackages.mjs';
import { passedEnvironment, writeJob } from './job.mjs';
import { DEFAULT_KERNEL, guestNeeds } from './kernels.mjs';
import { CHANNELS, QEMU, chooseAccelerator, kernelCommandLine, qemuArguments } from './qemu.mjs';
import { LabError, createReporter } from './report.mjs';
import { startShare } from './virtiofs.mjs';

/** The working tree that this lab belongs to. */
export const TREE = resolve(fileURLToPath(import.meta.url), '../../..');

export const DEFAULTS = Object.freeze({
  kernel: DEFAULT_KERNEL,
  /** Parameters of the software NIC. */
  sim: 'queues=4 header_split=1',
  cpus: 2,
  /** Largest udmabuf; 6.12's own limit is 64. */
  udmabufLimitMiB: 1024,
});

/** @type {readonly import('./virtiofs.mjs').Share[]} */
const SHARES = Object.freeze([
  { tag: 'root', source: '/', cache: 'always', writable: false },
  { tag: 'tree', source: TREE, cache: 'auto', writable: true },
]);

/**
 * @typedef {object} PrepareOptions
 * @property {string} [kernel]   one of `kernelNames`, or of a kernel put into the cache
 * @property {boolean} [update]  look for a newer kernel now
 * @property {boolean} [withSim] build the software NIC; default true
 * @property {string} [driver]   folder of its source; default kernel/devmemsim
 * @property {import('./report.mjs').Reporter} [reporter]
 */

/**
 * @typedef {object} Prepared
 * @property {import('./layout.mjs').Kernel} kernel
 * @property {string | undefined} module  the built driver
 */

/**
 * Makes packages, kernel and driver ready without booting anything.
 *
 * @param {PrepareOptions} [options]
 * @returns {Promise<Prepared>}
 * @throws {LabError}
 */
export async function prepareLab(options = {}) {
  const { reporter = createReporter() } = options;
  await ensureHostPackages(reporter, ['archive', 'guest', 'moduleBuild']);
  const kernel = await ensureKernel(options.kernel ?? DEFAULTS.kernel, {
    update: options.update ?? false,
    reporter,
  });
  const source = options.driver ?? join(TREE, 'kernel/devmemsim');
  const module =
    options.withSim === false ? undefined : await buildDriver(source, kernel, reporter);
  return { kernel, module };
}

/**
 * @typedef {object} RunOnly
 * @property {readonly string[]} command   program and arguments, run without a shell
 * @property {string} [sim]                parameters of the software NIC
 * @property {string} [cwd]                inside the working tree; default the process's own, else the tree's root
 * @property {Readonly<Record<string, string>>} [env] beside what `passedEnvironment` lets through
 * @property {number} [timeoutSeconds]     for boot and command together; default by kernel
 * @property {number} [cpus]
 * @property {boolean} [icount]            a clock that counts instructions, on one virtual CPU
 * @property {number} [memoryMiB]          default by kernel
 * @property {string} [append]             more for the kernel's command line
 * @property {import('node:stream').Writable} [stdout]           where the command's output goes; default the process's own
 * @property {import('node:stream').Writable} [stderr]
 * @property {string} [kernelLog]          file to keep the kernel's log in
 * @property {readonly RegExp[]} [allowSplats] complaints of the kernel to pass over
 * @property {AbortSignal} [signal]        ends the guest
 */

/** @typedef {PrepareOptions & RunOnly} RunOptions */

/**
 * @typedef {object} RunResult
 * @property {number} status        the command's, or one of `STATUS`
 * @property {number | undefined} commandStatus undefined where the command did not end
 * @property {import('./kernellog.mjs').Splat[]} splats the kernel's complaints
 * @property {number | undefined} bootSeconds  until the command began
 */

/**
 * Runs a command in a guest.
 *
 * @param {RunOptions} options
 * @returns {Promise<RunResult>}
 * @throws {LabError} where it could not be run at all
 * @throws the signal's reason, where that ended it
 */
export async function runInLab(options) {
  const result = await runOnce(options);
  if (!lostToEmulation(result)) return result;
  const { reporter = createReporter() } = options;
  reporter.note('the emulation lost a race with a kernel that patches itself; booting once more');
  return runOnce(options);
}

/**
 * Whether the kernel died of a breakpoint before the command began. A kernel that boots
 * puts breakpoints into its code while it patches it, and QEMU's threads may see one that
 * is gone already. Of a fault of the kernel's own, the second boot dies too.
 *
 * @param {RunResult} result
 */
export function lostToEmulation({ bootSeconds, splats }) {
  return (
    bootSeconds === undefined &&
    splats.flatMap(({ lines }) => lines).some((line) => line.includes(BREAKPOINT))
  );
}

const BREAKPOINT = 'Oops: int3';

/**
 * @param {RunOptions} options
 * @returns {Promise<RunResult>}
 */
async function runOnce(options) {
  // virtiofsd acts for the guest's root, who owns files of every user.
  if (process.getuid?.() !== 0) {
    throw new LabError('booting a guest takes root so far: run it with sudo');
  }
  const { signal } = options;
  signal?.throwIfAborted();
  /** @type {(() => Promise<void>)[]} what to do in the end, last first */
  const cleanUp = [];
  const over = new AbortController();
  try {
    const run = bootAndRun(options, cleanUp);
    return await (signal ? Promise.race([run, throwOnAbort(signal, over.signal)]) : run);
  } finally {
    over.abort();
    for (const step of cleanUp.reverse()) await step();
  }
}

/**
 * @param {RunOptions} options
 * @param {(() => Promise<void>)[]} cleanUp gets what has to be done in the end
 * @returns {Promise<RunResult>}
 */
async function bootAndRun(options, cleanUp) {
  const { reporter = createReporter() } = options;
  const { kernel, module } = await prepareLab({ ...options, reporter });
  if (!module) reporter.note('no software NIC: the guest has a loopback interface only');
  const accelerator = options.icount === true ? 'icount' : await chooseAccelerator(kernel);

  const folder = temporaryFolder('devmem-tcp-lab-');
  cleanUp.push(folder.remove);
  const marker = randomBytes(16).toString('hex');
  writeJob(folder.path, {
    command: options.command,
    cwd: workingFolder(options.cwd),
    tree: TREE,
    env: { ...passedEnvironment(process.env), ...options.env },
    kernel,
    driver: module ? { module, parameters: options.sim ?? DEFAULTS.sim } : undefined,
    marker,
  });

  const startedAt = performance.now();
  reporter.note(`booting ${kernel.release} (${accelerator === 'kvm' ? 'KVM' : 'emulated'})…`);
  const shares = [];
  for (const share of SHARES) {
    const socket = join(folder.path, `${share.tag}.socket`);
    const { daemon, ready } = startShare(share, socket);
    cleanUp.push(() => endChild(daemon));
    await ready;
    shares.push({ tag: share.tag, socket });
  }
  const append = kernelCommandLine({
    job: folder.path,
    accelerator,
    udmabufLimitMiB: DEFAULTS.udmabufLimitMiB,
    extra: options.append ?? '',
  });
  const needs = guestNeeds(kernel.name);
  const { memoryMiB = needs.memoryMiB } = options;
  const cpus = accelerator === 'icount' ? 1 : (options.cpus ?? DEFAULTS.cpus);
  const qemu = startBound(
    QEMU,
    qemuArguments({ kernel, accelerator, cpus, memoryMiB, append, shares }),
    ['ignore', 'pipe', 'pipe', ...Object.keys(CHANNELS).map(() => /** @type {const} */ ('pipe'))],
  );
  cleanUp.push(() => endChild(qemu));

  return followGuest(qemu, {
    marker,
    startedAt,
    reporter,
    signal: options.signal,
    stdout: options.stdout ?? process.stdout,
    stderr: options.stderr ?? process.stderr,
    timeoutSeconds: options.timeoutSeconds ?? needs.timeoutSeconds,
    kernelLogFile: options.kernelLog,
    allowSplats: options.allowSplats ?? [],
    // The guest has copied what it needs, QEMU holds the sockets.
    onReady: () => void folder.remove(),
  });
}

/**
 * @param {AbortSignal} signal
 * @param {AbortSignal} over no more waiting
 * @returns {Promise<never>}
 * @throws the signal's reason once it is aborted
 */
async function throwOnAbort(signal, over) {
  await once(signal, 'abort', { signal: over });
  throw signal.reason;
}

/**
 * @param {string | undefined} wanted
 * @returns {string} the wanted folder, else the caller's where that is in the tree, else the tree's root
 */
function workingFolder(wanted) {
  if (wanted !== undefined) return resolve(wanted);
  const folder = process.cwd();
  return folder === TREE || folder.startsWith(TREE + sep) ? folder : TREE;
}
