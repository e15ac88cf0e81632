// @ts-check
/** Shares host folders with the guest: one virtiofsd each, of either of its two kinds. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { startBound } from './children.mjs';
import { isExecutable, which } from './process.mjs';
import { LabError } from './report.mjs';

/** Debian 12 and Ubuntu 22.04 ship the C daemon with QEMU; later ones the Rust daemon in a package of its own. */
const PLACES = ['/usr/libexec/virtiofsd', '/usr/lib/qemu/virtiofsd', '/usr/lib/virtiofsd'];

/** The flag of listening sockets in /proc/net/unix (__SO_ACCEPTCON). */
const ACCEPTS_CONNECTIONS = '00010000';

/** @returns {string | undefined} */
export const findVirtiofsd = () => PLACES.find(isExecutable) ?? which('virtiofsd');

/**
 * @typedef {object} Share
 * @property {string} tag     the name the guest mounts it by
 * @property {string} source  the host's folder
 * @property {'always' | 'auto'} cache
 *   always: the guest may believe that nothing changes but by itself; auto: it looks again after a second
 * @property {boolean} writable
 */

/**
 * The two kinds share neither options nor version numbers, so --help tells them apart.
 *
 * @param {Share} share
 * @param {string} socket
 * @param {string} help what the daemon prints for --help
 * @returns {string[]}
 */
export function virtiofsdArguments({ source, cache, writable }, socket, help) {
  // chroot: the default sandbox wants namespaces, which containers often refuse.
  if (!help.includes('--shared-dir')) {
    const options = [`source=${source}`, `cache=${cache}`, 'sandbox=chroot', 'log_level=err'];
    return [`--socket-path=${socket}`, ...options.flatMap((option) => ['-o', option])];
  }
  const newer = [
    // Submounts would be mounts of their own in the guest, which an overlay does not
    // reach into: /home, say, would be missing there.
    '--no-announce-submounts',
    ...(writable ? [] : ['--readonly']),
  ];
  return [
    `--socket-path=${socket}`,
    `--shared-dir=${source}`,
    `--cache=${cache}`,
    '--sandbox=chroot',
    '--log-level=error',
    ...newer.filter((option) => help.includes(option)),
  ];
}

/**
 * A socket appears before anybody listens on it, and connecting to find out would use up
 * the one connection that a daemon takes. No event tells, but the kernel's table does.
 *
 * @param {string} socket
 * @param {import('node:child_process').ChildProcess} daemon
 */
async function untilListening(socket, daemon) {
  const isListening = () =>
    readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .map((line) => line.split(/\s+/))
      .some((fields) => fields[3] === ACCEPTS_CONNECTIONS && fields.at(-1) === socket);
  while (daemon.exitCode === null && daemon.signalCode === null && !isListening()) {
    await setTimeout(5);
  }
}

/**
 * Starts the daemon of one share.
 *
 * @param {Share} share
 * @param {string} socket
 * @returns {{ daemon: import('node:child_process').ChildProcess, ready: Promise<void> }}
 *   ready: once QEMU can connect to the socket
 */
export function startShare(share, socket) {
  const program = findVirtiofsd();
  if (!program) throw new LabError('virtiofsd is not there');
  // Before the start, so that the socket cannot appear unseen.
  const changes = watch(dirname(socket));
  const { stdout: help } = spawnSync(program, ['--help'], { encoding: 'utf8' });
  const daemon = startBound(program, virtiofsdArguments(share, socket, help), [
    'ignore',
    'ignore',
    'pipe',
  ]);
  let complaint = '';
  daemon.stderr?.setEncoding('utf8').on('data', (text) => (complaint += String(text)));
  /** @type {Promise<void>} */
  const ready = new Promise((resolve, reject) => {
    changes.on('change', () => existsSync(socket) && resolve(untilListening(socket, daemon)));
    changes.on('error', reject);
    daemon.once('error', reject);
    daemon.once('close', () =>
      reject(new LabError(`virtiofsd does not start: ${complaint.trim() || 'it says nothing'}`)),
    );
  });
  return { daemon, ready: ready.finally(() => changes.close()) };
}
