/** Whoever sends descriptors whose close(2) waits: test/host/children/stranger.py. */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../host/children/stranger.py', import.meta.url));

/** What is sent: a TCP connection that lingers, a file whose server answers nothing. */
export type Kind = 'linger' | 'fuse';

/** Bytes, and how many copies of the descriptor go with them. */
export type Chunk = readonly [bytes: Uint8Array, descriptors: number];

const succeeds = (command: string, ...args: string[]): boolean =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0;

export const hasPython = succeeds('python3', '-c', 'import socket; socket.recv_fds');
export const NO_PYTHON = "no python3 with socket.recv_fds: Debian's python3 enables this";

// Mounts are made in a namespace of its own, by whoever may make one.
const MOUNTING = process.getuid?.() === 0 ? ['-m'] : ['-rm'];
export const hasFuse =
  hasPython && isWritable('/dev/fuse') && succeeds('unshare', ...MOUNTING, 'true');
export const NO_FUSE = 'no /dev/fuse, python3 or mount namespace: a kernel with FUSE enables this';

function isWritable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export class Stranger implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #exit: Promise<unknown>;

  /**
   * @param receiver - process that listens at the socket
   * @param times - it does so, by a connection and with a descriptor of its own each time
   */
  constructor(
    kind: Kind,
    { socket, receiver }: { socket: string; receiver: { readonly pid: number } },
    chunks: readonly Chunk[],
    times = 1,
  ) {
    const told = chunks.map(([bytes, count]) => [Buffer.from(bytes).toString('hex'), count]);
    const numbers = [receiver.pid, JSON.stringify(told), times].map(String);
    const python = ['python3', PROGRAM, kind, socket, ...numbers];
    const [command, ...args] = kind === 'fuse' ? ['unshare', ...MOUNTING, ...python] : python;
    this.#process = spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#exit = once(this.#process, 'exit');
  }

  /** Once it has sent all. */
  async sent(): Promise<void> {
    await once(this.#process.stdout, 'data');
  }

  /** Has what waits with closing go on, and ends. */
  async letGo(): Promise<void> {
    this.#process.stdin.end();
    await this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.letGo();
  }
}
