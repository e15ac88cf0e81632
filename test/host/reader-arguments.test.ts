/** Calls of a reader with what they do not take: each says what it takes, and takes nothing. */
import type { SocketReader } from 'devmem-tcp';
import { DmaBuf } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { deliver, expectPattern, openReader, type Reading } from '../support/reading.js';
import { rejectionOf, thrownBy } from '../support/thrown.js';

/** Whatever a program without types may pass. */
type Loose = Record<string, (...args: unknown[]) => unknown>;

const MOST = 2 ** 20;
const NO_NUMBERS = ['5', 5n, null, undefined, {}, [5], true, () => 5];
const NO_INTEGERS = [1.5, NaN, Infinity, -Infinity];
const TYPE = 'ERR_INVALID_ARG_TYPE';
const VALUE = 'ERR_INVALID_ARG_VALUE';
const RANGE = 'ERR_OUT_OF_RANGE';

/** A call, of which an argument is bad, by that one's name. */
type Case = [name: string, code: string, call: string, ...args: unknown[]];

const bytesOf: Case[] = ['take', 'read', 'peek', 'skip'].flatMap((call): Case[] => [
  ...NO_NUMBERS.map((value): Case => ['bytes', TYPE, call, value]),
  ...[...NO_INTEGERS, -1, -0.5].map((value): Case => ['bytes', RANGE, call, value]),
]);
const beyond: Case[] = [
  ['bytes', RANGE, 'take', MOST + 1],
  ['bytes', RANGE, 'peek', MOST + 1],
  ['bytes', RANGE, 'peek', 0],
  ['bytes', RANGE, 'read', 2 ** 53],
  ['bytes', RANGE, 'skip', 2 ** 53],
];
const array = new Uint8Array(10);
const usual: Readonly<Record<string, unknown[]>> = {
  take: [1],
  read: [1],
  peek: [1],
  skip: [1],
  readUntil: ['x'],
  readInto: [array],
};
const options: Case[] = Object.entries(usual).flatMap(([call, args]): Case[] => [
  ...[null, 5, 'x', [], true].map((value): Case => ['options', TYPE, call, ...args, value]),
  ...[null, {}, 5, { aborted: false }].map((signal): Case => [
    'options.signal',
    TYPE,
    call,
    ...args,
    { signal },
  ]),
]);
const targets: Case[] = [
  ...[null, undefined, 5, 'x', {}, [], new ArrayBuffer(8), new DataView(new ArrayBuffer(8))],
  ...[new Uint16Array(8), new Uint8ClampedArray(8), new Int8Array(8), new SharedArrayBuffer(8)],
].map((value): Case => ['target', TYPE, 'readInto', value]);
const places: Case[] = ['offset', 'length'].flatMap((name): Case[] => [
  ...['5', 5n, null, {}].map((value): Case => [
    `options.${name}`,
    TYPE,
    'readInto',
    array,
    { [name]: value },
  ]),
  ...[...NO_INTEGERS, -1, 11, 2 ** 53].map((value): Case => [
    `options.${name}`,
    RANGE,
    'readInto',
    array,
    { [name]: value },
  ]),
]);
const searches: Case[] = [
  ...[null, undefined, 5, {}, ['x'], new ArrayBuffer(1)].map((value): Case => [
    'delimiter',
    TYPE,
    'readUntil',
    value,
  ]),
  ['delimiter', VALUE, 'readUntil', ''],
  ['delimiter', VALUE, 'readUntil', new Uint8Array()],
  ...[0, -1, 1.5, MOST + 1].map((limit): Case => [
    'options.limit',
    RANGE,
    'readUntil',
    'x',
    { limit },
  ]),
  ...['5', null].map((limit): Case => ['options.limit', TYPE, 'readUntil', 'x', { limit }]),
];
const length = (): number => 1;
const records: Case[] = [
  ...[undefined, null, 5, 'x', []].map((value): Case => ['options', TYPE, 'records', value]),
  ...['4', null, undefined].map((headerBytes): Case => [
    'options.headerBytes',
    TYPE,
    'records',
    { headerBytes, length },
  ]),
  ...[0, -1, 1.5, 65537].map((headerBytes): Case => [
    'options.headerBytes',
    RANGE,
    'records',
    { headerBytes, length },
  ]),
  ...[undefined, null, 5, {}].map((value): Case => [
    'options.length',
    TYPE,
    'records',
    { headerBytes: 4, length: value },
  ]),
  ...[-1, 1.5, MOST - 3].map((limit): Case => [
    'options.limit',
    RANGE,
    'records',
    { headerBytes: 4, length, limit },
  ]),
  ['options.limit', TYPE, 'records', { headerBytes: 4, length, limit: '5' }],
  ['options.signal', TYPE, 'records', { headerBytes: 4, length, signal: null }],
];

const MESSAGES: Readonly<Record<string, (name: string) => string>> = {
  [TYPE]: (name) => `The "${name}" argument must be `,
  [VALUE]: (name) => `The argument "${name}" must be `,
  [RANGE]: (name) => `The value of "${name}" is out of range. It must be an integer >= `,
};

/** The error of a call, thrown or rejected with. */
async function refusal(reader: SocketReader, call: string, args: unknown[]): Promise<Error> {
  const loose = reader as unknown as Loose;
  if (call === 'records') return thrownBy(() => loose[call]!(...args));
  return rejectionOf(loose[call]!(...args) as Promise<unknown>);
}

/** With bytes to be had, and without. */
async function withReading(use: (reading: Reading) => Promise<void>): Promise<void> {
  await using reading = await openReader('copy', { size: MOST });
  await use(reading);
  await deliver(reading, [10, 20]);
  await use(reading);
  expect(reading.reader.position).toBe(0);
  expectPattern(await reading.reader.read(30), 0);
}

describe('a reader', () => {
  expectNoLeaks();

  it.for([
    ['numbers of bytes', bytesOf],
    ['too many bytes', beyond],
    ['options', options],
    ['targets', targets],
    ['places in a target', places],
    ['delimiters and their limits', searches],
    ['options of records', records],
  ] as [string, Case[]][])('refuses wrong %s, and names the value', async ([, cases]) => {
    await withReading(async ({ reader }) => {
      for (const [name, code, call, ...args] of cases) {
        const error = await refusal(reader, call, args);
        const what = `${call}(${args.map(String).join(', ')})`;
        expect(error, what).toMatchObject({ code });
        expect(error.message, what).toContain(MESSAGES[code]!(name));
        expect(error.message, what).toContain('Received ');
      }
    });
  });

  it('takes what is at the edges', async () => {
    await using reading = await openReader('copy', { size: MOST });
    const { reader } = reading;
    await deliver(reading, [100]);
    const target = new Uint8Array(10);
    expect(await reader.readInto(target, { offset: 10 })).toBe(0);
    expect(await reader.readInto(target, { offset: 9 })).toBe(1);
    expect(await reader.readInto(target, { offset: 10, length: 0 })).toBe(0);
    expect(await reader.readInto(target, {})).toBe(10);
    using span = await reader.take(1, {});
    expect(span.byteLength).toBe(1);
    expect((await reader.readUntil(new Uint8Array([...(await reader.peek(1))]))).length).toBe(1);
    const last = reader.records({ headerBytes: 65536, length: () => 0, limit: 0 });
    expect(last[Symbol.asyncIterator]()).toBe(last);
    reading.peer.end();
    expect(await rejectionOf(last.next())).toMatchObject({ bytesRead: 87 });
    await using memory = await DmaBuf.allocate({ type: 'host', size: 65536 });
    expect(await reader.readInto(memory, { offset: 65536 })).toBe(0);
    expect(await reader.readInto(memory, { offset: 65000 })).toBe(87);
  });
});
