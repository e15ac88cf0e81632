// @ts-check
/** One guest from its start to its end: what comes out of it, and what that means. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';

import { KernelLog } from './kernellog.mjs';
import { CHANNELS } from './qemu.mjs';
import { LabError, STATUS, since } from './report.mjs';
import { leadToTheSame, MarkedStream, WholeLines } from './streams.mjs';

/** How long the kernel may take to print the end of its log after the command has ended. */
const LAST_WORDS_MS = 10_000;

/**
 * @typedef {object} Following
 * @property {string} marker          ends the output streams, and the kernel's log
 * @property {number} startedAt       `performance.now()` at the start
 * @property {number} timeoutSeconds
 * @property {import('node:stream').Writable} stdout
 * @property {import('node:stream').Writable} stderr
 * @property {string | undefined} kernelLogFile
 * @property {readonly RegExp[]} allowSplats
 * @property {AbortSignal | undefined} signal
 * @property {import('./report.mjs').Reporter} reporter
 * @property {() => void} onReady     the command begins
 */

/**
 * Follows a guest until its command has ended and all output is here, or until it
 * is clear that this will not come. The caller ends QEMU.
 *
 * @param {import('node:child_process').ChildProcess} qemu
 * @param {Following} options
 * @returns {Promise<import('./run.mjs').RunResult>}
 * @throws {LabError} where the guest did not get as far as the command
 * @throws the signal's reason, where that came first
 */
export async function followGuest(qemu, options) {
  const { reporter, startedAt, timeoutSeconds, signal } = options;
  const complaint = collectComplaint(qemu);
  const log = new KernelLog(options.allowSplats);
  const kernelLog = followKernelLog(channel(qemu, CHANNELS.kernelLog), log, options);
  const outputs = forwardOutputs(qemu, options);
  /** @type {{ bootSeconds?: number, commandStatus?: number }} */
  const progress = {};

  const over = new AbortController();
  const command = followControl(channel(qemu, CHANNELS.control), {
    ready() {
      progress.bootSeconds = (performance.now() - startedAt) / 1000;
      reporter.note(`ready in ${since(startedAt)}`);
      options.onReady();
    },
    exit(status) {
      progress.commandStatus = status;
    },
    failed(reason) {
      throw new LabError(`the guest could not be set up: ${reason}\n${log.tail}`, STATUS.kernel);
    },
  });
  try {
    const outcome = await Promise.race([
      // Where the guest dies, its channels end by themselves.
      command.then(() => Promise.all(outputs)).then(() => /** @type {const} */ ('ended')),
      setTimeout(timeoutSeconds * 1000, /** @type {const} */ ('timeout'), { signal: over.signal }),
    ]);
    if (outcome === 'ended') {
      await Promise.race([
        kernelLog,
        setTimeout(LAST_WORDS_MS, undefined, { signal: over.signal }),
      ]);
    }
    // Stopped on request: what then follows of the guest is no news.
    signal?.throwIfAborted();
    log.end();
    const status = judge(outcome, progress.commandStatus, log, complaint(), options);
    return {
      status,
      commandStatus: progress.commandStatus,
      bootSeconds: progress.bootSeconds,
      splats: log.splats,
    };
  } finally {
    over.abort();
  }
}

/**
 * Turns how a run went into an exit status, and tells a person what was wrong.
 *
 * @param {'ended' | 'timeout'} outcome
 * @param {number | undefined} commandStatus
 * @param {KernelLog} log
 * @param {string} complaint QEMU's own words
 * @param {Following} options
 * @returns {number}
 */
function judge(outcome, commandStatus, log, complaint, { reporter, timeoutSeconds }) {
  const splats = log.splats.map(({ lines }) => lines.join('\n'));
  for (const splat of splats) reporter.alert(`the guest's kernel complains:\n${splat}`);

  if (outcome === 'timeout') {
    reporter.alert(
      `ended at the time limit of ${timeoutSeconds} s; the kernel's log ends with\n${log.tail}`,
    );
    return STATUS.timeout;
  }
  if (commandStatus === undefined) {
    reporter.alert('the guest died before its command ended');
    if (complaint) reporter.alert(`QEMU says: ${complaint}`);
    if (splats.length === 0) reporter.alert(`the kernel's log ends with\n${log.tail}`);
    return STATUS.kernel;
  }
  if (splats.length > 0 && commandStatus === 0) return STATUS.kernel;
  return commandStatus;
}

/**
 * @param {import('node:child_process').ChildProcess} qemu
 * @param {number} fd
 */
function channel(qemu, fd) {
  const stream = qemu.stdio[fd];
  if (!(stream instanceof Socket)) throw new LabError(`channel ${fd} of the guest is not there`);
  // A dying QEMU resets its connections: their end says all there is to say.
  stream.on('error', () => stream.destroy());
  return stream;
}

/**
 * @param {import('node:child_process').ChildProcess} qemu
 * @returns {() => string} what QEMU itself has printed so far
 */
function collectComplaint(qemu) {
  let text = '';
  for (const stream of [qemu.stdout, qemu.stderr]) {
    stream?.setEncoding('utf8').on('data', (more) => (text += String(more)));
  }
  return () => text.trim();
}

/**
 * @param {Socket} input
 * @param {{ ready: () => void, exit: (status: number) => void, failed: (reason: string) => void }} on
 */
async function followControl(input, on) {
  for await (const line of createInterface({ input })) {
    const [, word, rest = ''] = /^(\w+) ?(.*)$/.exec(line) ?? [];
    if (word === 'ready') on.ready();
    if (word === 'failed') on.failed(rest);
    if (word === 'exit') {
      on.exit(Number(rest));
      return;
    }
  }
}

/**
 * Takes the kernel's log to its end: the marker, which the guest prints there last,
 * because what the kernel prints may come later than what the command printed after it.
 *
 * @param {Socket} input
 * @param {KernelLog} log
 * @param {Following} options
 */
async function followKernelLog(input, log, { marker, kernelLogFile }) {
  const file = kernelLogFile === undefined ? undefined : openSync(kernelLogFile, 'w');
  try {
    for await (const line of createInterface({ input, crlfDelay: Infinity })) {
      if (line.includes(marker)) break;
      log.push(`${line}\n`);
      if (file !== undefined) writeSync(file, `${line}\n`);
    }
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/**
 * @param {import('node:child_process').ChildProcess} qemu
 * @param {Following} options
 * @returns {Promise<void>[]} once all of the command's output is with its readers, or the guest is gone
 */
function forwardOutputs(qemu, { marker, stdout, stderr }) {
  const byLines = leadToTheSame(stdout, stderr);
  return [
    forward(channel(qemu, CHANNELS.stdout), stdout, marker, byLines),
    forward(channel(qemu, CHANNELS.stderr), stderr, marker, byLines),
  ];
}

/**
 * @param {Socket} input
 * @param {import('node:stream').Writable} output
 * @param {string} marker
 * @param {boolean} byLines
 */
async function forward(input, output, marker, byLines) {
  const bytes = input.pipe(new MarkedStream(marker));
  const stream = byLines ? bytes.pipe(new WholeLines()) : bytes;
  stream.pipe(output, { end: false });
  await finished(stream, { writable: false });
}
