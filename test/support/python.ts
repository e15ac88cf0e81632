/** Programs in plain Python 3 at the other end of a Unix-domain socket. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type net from 'node:net';

import { descriptorOf } from '../../dist/ipc/handle.js';

export { hasPython, NO_PYTHON } from './stranger.js';

const LIMIT_MS = 50_000;

// What each program begins with.
const PRELUDE = `
import fcntl, json, mmap, os, socket, struct, sys
connection = socket.socket(fileno=3)
connection.setblocking(True)

def say(content, *fds):
    body = json.dumps(content).encode()
    message = struct.pack('>I', len(body)) + body
    if fds: socket.send_fds(connection, [message], list(fds))
    else: connection.sendall(message)

def hear():
    data, fds, _, _ = socket.recv_fds(connection, 4096, 1)
    (size,) = struct.unpack('>I', data[:4])
    return json.loads(data[4:4 + size]), fds
`;

export interface Exit {
  status: number | null;
  signal: NodeJS.Signals | null;
  /** What it printed. */
  output: string;
}

/**
 * Runs a program that has this end of a connection to itself, as `connection`.
 *
 * @returns once it has ended
 */
export async function runPython(
  program: string,
  socket: net.Socket,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Exit> {
  const python = spawn('python3', ['-c', PRELUDE + program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', descriptorOf(socket, 'Pipe')!],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env },
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  let output = '';
  python.stdout!.on('data', (piece) => (output += String(piece)));
  // It has a duplicate by now, whose end alone is to be the connection's.
  socket.destroy();
  const [status, signal] = (await once(python, 'close')) as [number | null, NodeJS.Signals | null];
  return { status, signal, output };
}
