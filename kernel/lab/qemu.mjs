// @ts-check
/** The virtual machine: its command line, and which accelerator really works. */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { cacheRoot } from './cache.mjs';
import { tryTool } from './process.mjs';

export const QEMU = 'qemu-system-x86_64';

/** File descriptors that QEMU inherits: each a connected socket to the lab, so that nothing lies in a file system. */
export const CHANNELS = Object.freeze({ kernelLog: 3, stdout: 4, stderr: 5, control: 6 });

/** @typedef {'kvm' | 'tcg' | 'icount'} Accelerator icount: emulation on a clock that counts instructions */

/** @type {Readonly<Record<Accelerator, readonly string[]>>} */
const ACCELERATION = Object.freeze({
  kvm: ['-accel', 'kvm', '-cpu', 'host'],
  // Emulation of an old CPU is about twice as fast as of a new one. rdrand gives
  // the guest its entropy, which it otherwise waits for.
  tcg: ['-accel', 'tcg,thread=multi', '-cpu', 'Nehalem,+rdrand'],
  // Where nothing is to be done, the clock does not wait.
  icount: [
    ...['-accel', 'tcg,thread=single', '-cpu', 'Nehalem,+rdrand'],
    ...['-icount', 'shift=0,sleep=off'],
  ],
});

/**
 * @typedef {object} Machine
 * @property {import('./layout.mjs').Kernel} kernel
 * @property {Accelerator} accelerator
 * @property {number} cpus
 * @property {number} memoryMiB
 * @property {string} append    the kernel's command line
 * @property {{ tag: string, socket: string }[]} shares
 */

/**
 * @param {Machine} machine
 * @returns {string[]}
 */
export function qemuArguments({ kernel, accelerator, cpus, memoryMiB, append, shares }) {
  const ports = [CHANNELS.stdout, CHANNELS.stderr, CHANNELS.control];
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot'],
    ...['-display', 'none', '-monitor', 'none'],
    // Shared memory, because virtiofsd reads requests out of the guest's.
    ...[
      '-M',
      'q35,memory-backend=ram',
      '-object',
      `memory-backend-memfd,id=ram,size=${memoryMiB}M,share=on`,
    ],
    ...['-m', `${memoryMiB}M`, '-smp', String(cpus)],
    ...ACCELERATION[accelerator],
    ...['-kernel', kernel.vmlinuz, '-append', append],
    ...['-chardev', `socket,id=log,fd=${CHANNELS.kernelLog}`, '-serial', 'chardev:log'],
    ...['-device', 'virtio-serial-pci'],
    ...ports.flatMap((fd, index) => [
      ...['-chardev', `socket,id=port${index + 1},fd=${fd}`],
      ...['-device', `virtserialport,chardev=port${index + 1},nr=${index + 1}`],
    ]),
    ...shares.flatMap(({ tag, socket }) => [
      ...['-chardev', `socket,id=${tag},path=${socket}`],
      ...['-device', `vhost-user-fs-pci,chardev=${tag},tag=${tag},queue-size=1024`],
    ]),
  ];
}

/**
 * @param {{ job: string, accelerator: Accelerator, udmabufLimitMiB: number, extra: string }} options
 *   job: the folder that the guest's first process reads
 * @returns {string}
 */
export function kernelCommandLine({ job, accelerator, udmabufLimitMiB, extra }) {
  return [
    'root=root rootfstype=virtiofs ro',
    `init=${job}/init.sh LAB_JOB=${job}`,
    // 7: everything but debugging; it costs a tenth of a second and makes --kernel-log worth keeping.
    'console=ttyS0 loglevel=7',
    // The guest must end, not sit there: an oops becomes a panic, a panic a reboot, which QEMU takes as the end.
    'oops=panic panic=-1 reboot=t',
    // Nothing in here needs protecting from speculation, and page-table isolation makes emulation crawl.
    'mitigations=off random.trust_cpu=on',
    `udmabuf.size_limit_mb=${udmabufLimitMiB}`,
    // An emulated CPU on a busy host may stand still for long without anything being wrong.
    ...(accelerator !== 'kvm'
      ? ['tsc=nowatchdog rcupdate.rcu_cpu_stall_timeout=100 watchdog_thresh=60']
      : []),
    extra,
  ]
    .filter(Boolean)
    .join(' ');
}

/**
 * KVM where it works. /dev/kvm alone says little (some sandboxes have the file and
 * nothing behind it), so a kernel is booted once per boot of the host.
 *
 * @param {import('./layout.mjs').Kernel} kernel
 * @returns {Promise<Accelerator>}
 */
export async function chooseAccelerator(kernel) {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return 'tcg';
  }
  const record = join(cacheRoot(), 'accelerator');
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const [knownBoot, known] = existsSync(record)
    ? readFileSync(record, 'utf8').trim().split(' ')
    : [];
  if (knownBoot === boot && (known === 'kvm' || known === 'tcg')) return known;

  // With no root file system the kernel panics as soon as it is up, which ends QEMU.
  const { output } = await tryTool(
    QEMU,
    [
      ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-monitor', 'none'],
      ...['-M', 'q35', '-m', '512M', '-accel', 'kvm', '-cpu', 'host', '-serial', 'stdio'],
      ...['-kernel', kernel.vmlinuz, '-append', 'console=ttyS0 panic=-1'],
    ],
    { timeoutSeconds: 10 },
  );
  const accelerator = output.includes('Unable to mount root') ? 'kvm' : 'tcg';
  mkdirSync(cacheRoot(), { recursive: true });
  writeFileSync(record, `${boot} ${accelerator}\n`);
  return accelerator;
}
