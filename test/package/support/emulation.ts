/** Node.js of another architecture, run by QEMU's emulation of a single process. */
import { which } from '../../../kernel/lab/process.mjs';
import { ensureSysroot } from '../../../scripts/prebuild/sysroot.mjs';
import type { Target } from '../../../scripts/prebuild/targets.mjs';
import { foreignNode } from './node-versions.js';

const MAJOR = 22;
const QEMU: Partial<Record<Target['arch'], string>> = { arm64: 'qemu-aarch64', x64: 'qemu-x86_64' };

/** A command that runs Node, or why there is none. */
export type EmulatedNode = { command: [string, ...string[]] } | { reason: string };

/** @param target - one with glibc: of musl there is no Node to be had */
export async function emulatedNode(target: Target): Promise<EmulatedNode> {
  const name = QEMU[target.arch]!;
  const qemu = which(`${name}-static`) ?? which(name);
  if (qemu === undefined) return { reason: `no ${name}: Debian's qemu-user-static enables this` };
  const node = await foreignNode(MAJOR, target.arch);
  if ('reason' in node) return node;
  const quiet = { note: () => undefined, alert: () => undefined };
  // Where its loader and its C library lie.
  const sysroot = await ensureSysroot(target, quiet);
  return { command: [qemu, '-L', sysroot, node.file] };
}
