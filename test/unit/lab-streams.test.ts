/** What a command in the guest prints, on its way to a terminal, a file or a program. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, createWriteStream, mkdtempSync, openSync, rmSync } from 'node:fs';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Writable } from 'node:stream';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { followGuest } from '../../kernel/lab/guest.mjs';
import { CHANNELS } from '../../kernel/lab/qemu.mjs';
import { leadToTheSame, WholeLines } from '../../kernel/lab/streams.mjs';
import { generator } from '../support/random.js';
import { unixPair } from '../support/unix.js';

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-lab-'));
  file = path.join(folder, 'output');
});

afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

/** A stream to the file's end, as a shell makes it. */
async function toFile(): Promise<Writable> {
  const stream = createWriteStream(file, { flags: 'a' });
  await once(stream, 'open');
  return stream;
}

describe('the streams of a command', () => {
  it('lead to the same where they are one stream, one file or one pipe', async () => {
    const [first, second] = [await toFile(), await toFile()];
    const other = openSync(path.join(folder, 'other'), 'w');
    const elsewhere = Object.assign(new PassThrough(), { fd: other });
    expect(leadToTheSame(first, second)).toBe(true);
    expect(leadToTheSame(first, first)).toBe(true);
    expect(leadToTheSame(first, elsewhere)).toBe(false);
    const program = new PassThrough();
    expect(leadToTheSame(program, program)).toBe(true);
    expect(leadToTheSame(program, first)).toBe(false);
    expect(leadToTheSame(program, new PassThrough())).toBe(false);
    closeSync(other);
    for (const stream of [first, second]) stream.destroy();
  });

  it('to one place come by whole lines, in whatever pieces they leave the guest', async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = generator(seed);
      const pieces: string[] = [];
      const sink = collector(pieces);
      const sources = ['out', 'err'].map((name) => {
        const lines = Array.from({ length: 20 }, (_, i) => `${name} ${i} ${'x'.repeat(random(9))}`);
        const stream = new WholeLines();
        stream.pipe(sink, { end: false });
        return { lines, stream, left: lines.map((line) => `${line}\n`).join('') };
      });
      while (sources.some(({ left }) => left !== '')) {
        const source = sources[random(2)]!;
        const size = 1 + random(30);
        source.stream.write(source.left.slice(0, size));
        source.left = source.left.slice(size);
      }
      for (const { stream } of sources) {
        stream.end();
        await once(stream, 'end');
      }
      const lines = pieces.join('').split('\n').slice(0, -1);
      for (const [name, source] of ['out', 'err'].map((name, i) => [name, sources[i]!] as const)) {
        const own = lines.filter((line) => line.startsWith(name));
        expect(own, `seed ${seed}`).toEqual(source.lines);
      }
    }
  });

  it('do not wait for ever for the end of a line', () => {
    vi.useFakeTimers();
    const stream = new WholeLines();
    const heard: string[] = [];
    stream.on('data', (piece) => heard.push(String(piece)));
    stream.write('10 %\r20 %');
    vi.runOnlyPendingTimers();
    stream.write(' done\nand');
    expect(heard).toEqual(['10 %\r', '20 %', ' done\n']);
    stream.end('');
    vi.runAllTicks();
    expect(heard.at(-1)).toBe('and');
  });
});

describe('a guest whose streams both go to one place', () => {
  const MARKER = 'marker';

  it('finds its lines whole, though their halves come in turn', async () => {
    // However slow the machine is.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await using kernelLog = await unixPair({});
    await using stdout = await unixPair({});
    await using stderr = await unixPair({});
    await using control = await unixPair({});
    const stdio: net.Socket[] = [];
    for (const [name, { accepted }] of Object.entries({ kernelLog, stdout, stderr, control })) {
      stdio[CHANNELS[name as keyof typeof CHANNELS]] = accepted;
    }
    const pieces: string[] = [];
    const sink = collector(pieces);
    const followed = followGuest({ stdio } as unknown as ChildProcess, {
      ...{ stdout: sink, stderr: sink, marker: MARKER, startedAt: 0, timeoutSeconds: 60 },
      ...{ kernelLogFile: undefined, allowSplats: [], signal: undefined },
      reporter: { note: () => {}, alert: () => {} },
      onReady: () => {},
    });
    for (let i = 0; i < 20; i++) {
      for (const half of ['begin ', 'end\n']) {
        for (const { client, accepted } of [stdout, stderr]) {
          const read = once(accepted, 'data');
          client.write(half);
          await read;
        }
      }
    }
    for (const { client } of [stdout, stderr]) client.write(MARKER);
    kernelLog.client.write(`${MARKER}\n`);
    control.client.write('ready\nexit 0\n');
    expect(await followed).toMatchObject({ status: 0 });
    const lines = pieces.join('').split('\n').slice(0, -1);
    expect(lines).toEqual(new Array<string>(40).fill('begin end'));
  });
});

function collector(pieces: string[]): Writable {
  return new Writable({
    write: (piece: Buffer, _encoding, done) => {
      pieces.push(String(piece));
      done();
    },
  });
}
