/** Tensors from a Node process to one in plain Python, as examples/ has them. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { itWhere } from '../support/conditions.js';
import { ROOT } from '../support/docs/blocks.js';
import { hasPython, NO_PYTHON } from '../support/python.js';
import { Folder } from '../support/unix.js';
import { CudaDouble } from './cuda/double.js';

const run = promisify(execFile);

const itPython = itWhere(hasPython, NO_PYTHON);
const SERVE = path.join(ROOT, 'examples/serve-tensors.mjs');
const RECEIVE = path.join(ROOT, 'examples/receive_tensors.py');
const LIMITS = { timeout: 50_000, killSignal: 'SIGKILL' } as const;

let folder: Folder;

beforeEach(() => {
  folder = new Folder();
});

afterEach(() => {
  folder[Symbol.dispose]();
});

/** The end of a program. */
interface End {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Starts the serving program; resolves once a consumer can connect. */
async function serve(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ node: ChildProcess; ended: Promise<End>; port: string | undefined }> {
  const node = spawn(process.execPath, [SERVE, folder.file('socket'), ...args], {
    ...LIMITS,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let [stdout, stderr] = ['', ''];
  node.stdout.on('data', (piece) => (stdout += String(piece)));
  node.stderr.on('data', (piece) => (stderr += String(piece)));
  const ended = once(node, 'close').then(([status]) => ({
    status: status as number | null,
    stdout,
    stderr,
  }));
  const waits = async (): Promise<void> => {
    while (!stdout.includes('waiting for a consumer')) await once(node.stdout, 'data');
  };
  await Promise.race([waits(), ended]);
  return { node, ended, port: /listening on port (\d+)/.exec(stdout)?.[1] };
}

const PLAIN = { PYTHONDONTWRITEBYTECODE: '1' };

/** @param flags - Python's; `-S` has it find neither NumPy nor PyTorch */
async function receive(
  flags: readonly string[],
  program: readonly string[] = [RECEIVE],
  env: Record<string, string> = {},
): Promise<string> {
  const { stdout } = await run('python3', [...flags, ...program, folder.file('socket')], {
    ...LIMITS,
    env: { ...process.env, ...PLAIN, ...env },
  });
  return stdout;
}

/** What was sent or received, without what only one end tells. */
function tensorsOf(output: string): string[] {
  return output.match(/float32 \[[\d, ]+\], crc32 [0-9a-f]{8}/g) ?? [];
}

describe('the example', () => {
  const has = (module: string): boolean =>
    spawnSync('python3', ['-c', `import ${module}`]).status === 0;
  const kinds: readonly (readonly [kind: string, flags: string[], typeof itPython])[] = [
    ['memoryview', ['-S'], itPython],
    [
      'ndarray',
      [],
      itWhere(
        hasPython && has('numpy') && !has('torch'),
        "no NumPy, or PyTorch too: Debian's python3-numpy enables this",
      ),
    ],
    ['Tensor', [], itWhere(hasPython && has('torch'), 'no PyTorch: installing it enables this')],
  ];

  for (const [kind, flags, itHere] of kinds) {
    itHere(`hands every tensor on as it came, which is a ${kind} there`, async () => {
      const { ended } = await serve([]);
      const received = await receive(flags);
      const { status, stdout, stderr } = await ended;
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(tensorsOf(received)).toHaveLength(8);
      expect(tensorsOf(received)).toEqual(tensorsOf(stdout));
      expect(received.split('\n').filter((line) => line.endsWith(`${kind} in memfd`))).toHaveLength(
        8,
      );
      expect(stdout).toContain('the end, over copy');
    });
  }

  itPython('gives Python elements by shape and type, in the memory itself', async () => {
    const { ended } = await serve([]);
    const program = `
import sys
sys.path.insert(0, sys.argv.pop(1))
from receive_tensors import Consumer
for tensor in Consumer(sys.argv[1]):
    value = tensor.value()
    assert value.shape == tensor.shape, value.shape
    if tensor.id == 1: assert value[0, 1023, 99] == 102399, value[0, 1023, 99]
    value[0, 0, 0] = 42
    del value
    assert bytes(tensor.to_bytes()[:4]) == b'\\0\\0(B', tensor.to_bytes()[:4]
    tensor.done()
`;
    await receive(['-S', '-c', program], [path.dirname(RECEIVE)]);
    expect(await ended).toMatchObject({ status: 0, stderr: '' });
  });

  describe('goes on with the next consumer, and with what is left,', () => {
    const failures = {
      'after one that was killed': ['os.kill(os.getpid(), 9)', 'ERR_DEVMEM_CONSUMER_LOST'],
      'after one that talks nonsense': [
        "consumer._connection.sendall(b'nonsense' * 9); end()",
        'ERR_DEVMEM_BAD_MESSAGE',
      ],
      'after one that acknowledges twice': [
        'tensor.done(); tensor.done(); end()',
        'ERR_DEVMEM_BAD_MESSAGE',
      ],
    } as const;

    for (const [when, [fault, code]] of Object.entries(failures)) {
      itPython(when, async () => {
        const { ended } = await serve([]);
        const program = `
import os, sys
sys.path.insert(0, sys.argv.pop(1))
from receive_tensors import Consumer
consumer = Consumer(sys.argv[1])
def end():
    while consumer._connection.recv(4096): pass
for tensor in consumer:
    if tensor.id == 2:
        ${fault}
        sys.exit()
    tensor.done()
`;
        await receive(['-S', '-c', program], [path.dirname(RECEIVE)]).catch(() => {});
        const received = await receive(['-S']);
        const { status, stdout, stderr } = await ended;
        expect(status).toBe(0);
        expect(stderr.match(/^the consumer failed: \w+/gm)).toEqual([
          `the consumer failed: ${code}`,
        ]);
        // All but those that were done with before.
        const all = tensorsOf(stdout);
        const got = tensorsOf(received);
        expect(all).toHaveLength(8);
        expect(got.length).toBeGreaterThanOrEqual(6);
        expect(got).toEqual(all.slice(-got.length));
      });
    }

    itPython('in order, after one that fails by what it is sent last', async () => {
      const { node, ended } = await serve([]);
      // Four are announced at once; the place of the first gets the fifth.
      const program = `
import socket, sys
sys.path.insert(0, sys.argv.pop(1))
from receive_tensors import Consumer
consumer = Consumer(sys.argv[1])
tensors = iter(consumer)
four = [next(tensors) for _ in range(4)]
consumer._connection.shutdown(socket.SHUT_RD)
four[0].done()
sys.stdin.read()
four[1].done()
`;
      const consumer = spawn(
        'python3',
        ['-S', '-c', program, path.dirname(RECEIVE), folder.file('socket')],
        { ...LIMITS, stdio: ['pipe', 'ignore', 'inherit'], env: { ...process.env, ...PLAIN } },
      );
      const [told] = (await once(node.stderr!, 'data')) as [Buffer];
      expect(String(told)).toContain('ERR_DEVMEM_CONSUMER_LOST');
      consumer.stdin.end();
      const received = tensorsOf(await receive(['-S']));
      const { status, stdout } = await ended;
      expect(status).toBe(0);
      expect(received).toEqual(tensorsOf(stdout).slice(2));
    });
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL'] as const) {
    itPython(`can be started again after ${signal}`, async () => {
      const first = await serve([]);
      first.node.kill(signal);
      const { stderr } = await first.ended;
      expect(stderr).toBe('');
      expect(existsSync(folder.file('socket'))).toBe(signal === 'SIGKILL');
      const { ended } = await serve([]);
      expect(tensorsOf(await receive(['-S']))).toHaveLength(8);
      expect(await ended).toMatchObject({ status: 0, stderr: '' });
    });
  }

  itPython('leaves the socket of one that serves alone, and says so', async () => {
    const first = await serve([]);
    const second = await serve([]);
    const { status, stderr } = await second.ended;
    expect(status).toBe(1);
    expect(stderr).toMatch(/^listen EADDRINUSE: [^\n]*\n$/);
    expect(tensorsOf(await receive(['-S']))).toHaveLength(8);
    expect(await first.ended).toMatchObject({ status: 0 });
  });

  for (const port of ['abc', '65536', '-1', '1.5', '']) {
    it(`says at once that '${port}' is no port`, async () => {
      const { ended } = await serve([`--port=${port}`]);
      const { status, stdout, stderr } = await ended;
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr).toBe(`--port takes numbers from 0 to 65535, not '${port}'\n`);
    });
  }

  itPython('says how its consumer is called, and where nobody hands tensors on', () => {
    const refused = (...args: string[]): { status: number | null; stderr: string } => {
      const program = [RECEIVE, ...args];
      const { status, stderr } = spawnSync('python3', ['-S', ...program], { encoding: 'utf8' });
      return { status, stderr };
    };
    const usage = { status: 2, stderr: `usage: ${RECEIVE} SOCKET\n` };
    expect(refused()).toEqual(usage);
    expect(refused('one', 'two')).toEqual(usage);
    expect(refused('/nowhere/socket')).toEqual({
      status: 2,
      stderr: '/nowhere/socket: No such file or directory\n',
    });
  });

  it('says that a port is in use before a consumer comes', async () => {
    const other = net.createServer().listen(0);
    await once(other, 'listening');
    const { port } = other.address() as net.AddressInfo;
    const { status, stderr } = await (await serve(['--port', String(port)])).ended;
    other.close();
    expect(status).toBe(1);
    expect(stderr).toMatch(/^[^\n]*EADDRINUSE[^\n]*\n$/);
    expect(existsSync(folder.file('socket'))).toBe(false);
  });

  itPython('hands on no tensor that the stream was cut off in', async () => {
    const { ended, port } = await serve(['--port', '0']);
    const received = receive(['-S']).catch(() => '');
    const header = Buffer.from(JSON.stringify({ dtype: 'uint8', shape: [9], length: 9 }));
    const socket = net.connect({ port: Number(port), host: '127.0.0.1' });
    socket.on('error', () => {}).end(Buffer.from([0, 0, 0, header.length, ...header, 1, 2]));
    const { status, stderr } = await ended;
    expect(status).toBe(1);
    expect(stderr).toContain('the stream was cut off 2 bytes into a tensor');
    expect(await received).not.toContain('uint8');
  });
});

describe('the example with memory of a GPU, by the double of libcuda', () => {
  let double: CudaDouble;

  beforeEach(() => {
    double = new CudaDouble();
  });

  afterEach(() => {
    double[Symbol.dispose]();
  });

  itPython(
    'hands every tensor on, and frees the memory once the consumer has closed it',
    async () => {
      const { ended } = await serve(['--memory', 'cuda'], double.environment);
      const received = await receive(['-S'], [RECEIVE], double.environment);
      const { status, stdout, stderr } = await ended;
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(tensorsOf(received)).toHaveLength(8);
      expect(tensorsOf(received)).toEqual(tensorsOf(stdout));
      expect(received).toContain('CudaArray in cuda-ipc');
      const calls = double.calls.map((call) => /^\w+/.exec(call)![0]);
      expect(calls.filter((call) => call === 'cuIpcGetMemHandle')).toHaveLength(8);
      // One handle, opened once.
      const ends = ['cuIpcOpenMemHandle', 'cuIpcCloseMemHandle', 'cuMemFree'];
      expect(calls.filter((call) => ends.includes(call))).toEqual(ends);
    },
  );

  itPython('has what a NIC wrote be visible before each tensor is announced', async () => {
    const unordered = { ...double.environment, DOUBLE_ATTRIBUTES: '118=0,117=1' };
    const { ended } = await serve(['--memory', 'cuda'], unordered);
    await receive(['-S'], [RECEIVE], double.environment);
    await ended;
    // Of the serving process alone: the other one opens and closes.
    const calls = double.calls.filter((call) => !/^cuIpc(Open|Close)|^cuInit|Retain/.test(call));
    const announced = calls.flatMap((call, i) => (call === 'cuIpcGetMemHandle' ? [i] : []));
    expect(announced).toHaveLength(8);
    for (const i of announced) expect(calls[i - 1]).toBe('cuFlushGPUDirectRDMAWrites(0, 100)');
  });

  itPython('ends in words where CUDA gives no handle', async () => {
    const failing = { ...double.environment, DOUBLE_FAIL: 'cuIpcGetMemHandle=801' };
    const { ended } = await serve(['--memory', 'cuda'], failing);
    await receive(['-S'], [RECEIVE], double.environment).catch(() => {});
    const { status, stderr } = await ended;
    expect(status).toBe(1);
    expect(stderr).toContain("CUDA's IPC is not to be had");
  });

  itPython('has a consumer say what CUDA refuses it', async () => {
    const { ended } = await serve(['--memory', 'cuda'], double.environment);
    const failing = { ...double.environment, DOUBLE_FAIL: 'cuIpcOpenMemHandle=201' };
    const error = await receive(['-S'], [RECEIVE], failing).catch((reason: unknown) => reason);
    expect(String(error)).toContain('cuIpcOpenMemHandle: CUDA_ERROR_INVALID_CONTEXT (201)');
    await receive(['-S'], [RECEIVE], double.environment);
    expect((await ended).stderr).toContain('ERR_DEVMEM_CONSUMER_LOST');
  });
});
