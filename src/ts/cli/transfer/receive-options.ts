/** The options of `recv`. */
import type {
  AllocateOptions,
  DeviceTransport,
  HugePageSize,
  MemoryType,
  Mode,
} from '../../index.js';
import { hugePageBytes } from '../../memory/huge-pages.js';
import { type parseOptions, UsageError } from '../command.js';
import {
  DEFAULT_PORT,
  given,
  MAX_DEVICE,
  parseCount,
  parseEndpoint,
  parseInterface,
  parsePatternOption,
  parseQueues,
  parseRemote,
  parseSeconds,
  parseSize,
} from '../values.js';
import { type Into, parseInto } from './into/into.js';
import type { ReceiveSetup } from './receive.js';

export const RECEIVE_OPTIONS = {
  listen: { type: 'string' },
  connect: { type: 'string' },
  connections: { type: 'string' },
  bytes: { type: 'string' },
  seconds: { type: 'string' },
  interface: { type: 'string' },
  queues: { type: 'string' },
  mode: { type: 'string' },
  transport: { type: 'string' },
  prepare: { type: 'boolean', default: false },
  'no-prepare': { type: 'boolean', default: false },
  broker: { type: 'string' },
  memory: { type: 'string' },
  size: { type: 'string' },
  into: { type: 'string' },
  verify: { type: 'string' },
  interval: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

type Values = ReturnType<typeof parseOptions<typeof RECEIVE_OPTIONS>>['values'];

const MODES = ['auto', 'devmem', 'copy'] as const satisfies Mode[];
const TRANSPORTS = ['auto', 'cmsg', 'queue', 'zcrx'] as const satisfies DeviceTransport[];
const MEMORY_TYPES = [
  'auto',
  'udmabuf',
  'dma-heap',
  'cuda',
  'host',
] as const satisfies MemoryType[];
const MEMORY_BYTES = 64 * 2 ** 20;
const PAGE = 4096;
const MAX_MEMORY_BYTES = 2 ** 46;
const MAX_CONNECTIONS = 1e6;

type Run = Pick<
  ReceiveSetup,
  'listen' | 'connect' | 'connections' | 'bytes' | 'seconds' | 'pattern'
>;

/** What the options ask for. */
export interface Receive extends Run {
  interface: string | undefined;
  queues: number[] | undefined;
  mode: Mode;
  transport: DeviceTransport;
  /** Whether to set the interface up first. */
  prepare: boolean;
  /** The socket of a broker that is to bind. */
  broker: string | undefined;
  memory: AllocateOptions;
  /** Where streams are to be made contiguous. */
  into: Into | undefined;
  interval: number | undefined;
  json: boolean;
}

/** @throws UsageError */
export function readReceiveOptions(values: Values): Receive {
  const where = readEndpoint(values);
  const mode = oneOf('--mode', values.mode ?? 'auto', MODES);
  if (mode === 'devmem' && (values.interface === undefined || values.queues === undefined)) {
    throw new UsageError('--mode devmem needs --interface and --queues');
  }
  if ((values.interface === undefined) !== (values.queues === undefined)) {
    throw new UsageError('--interface and --queues belong together: give both or none');
  }
  return {
    ...where,
    connections: parseCount('--connections', values.connections ?? '1', 0, MAX_CONNECTIONS),
    bytes: given(values.bytes, (text) => parseSize('--bytes', text)),
    seconds: given(values.seconds, (text) => parseSeconds('--seconds', text)),
    pattern: given(values.verify, (text) => parsePatternOption('--verify', text)),
    interface: given(values.interface, (text) => parseInterface('--interface', text)),
    queues: given(values.queues, (text) => parseQueues('--queues', text)),
    // Nothing to bind: what 'auto' would come to.
    mode: values.interface === undefined ? 'copy' : mode,
    transport: readTransport(values, mode),
    prepare: readPrepare(values, mode, where),
    broker: readBroker(values, mode),
    memory: parseMemory(values.memory ?? 'auto', given(values.size, parseMemorySize)),
    into: readInto(values),
    interval: given(values.interval, (text) => parseSeconds('--interval', text)),
    json: values.json,
  };
}

function readEndpoint({ listen, connect, connections }: Values): Pick<Run, 'listen' | 'connect'> {
  if (connect === undefined) {
    const text = listen ?? String(DEFAULT_PORT);
    return { listen: parseEndpoint('--listen', text) };
  }
  if (listen !== undefined) throw new UsageError('give --listen or --connect, one of them');
  if (connections === '0') throw new UsageError('--connections 0 is for --listen only');
  return { connect: parseRemote('--connect', connect) };
}

/** `TYPE`, or with a detail: `udmabuf:2M`, `dma-heap:NAME`, `cuda:DEVICE`. */
function parseMemory(text: string, size = MEMORY_BYTES): AllocateOptions {
  const [type = '', detail] = text.split(/:(.*)/, 2);
  if (detail === undefined) return { type: oneOf('--memory', type, MEMORY_TYPES), size };
  switch (type) {
    case 'udmabuf':
    case 'host':
      return { type, size, hugePages: parseHugePages(text, detail, size) };
    case 'dma-heap':
      if (!/^(?!\.{1,2}$)[^/\0]{1,255}$/.test(detail)) break;
      return { type, size, heap: detail };
    case 'cuda':
      return { type, size, device: parseCount('--memory cuda:', detail, 0, MAX_DEVICE) };
  }
  throw new UsageError(
    `--memory must be TYPE, udmabuf:2M, dma-heap:NAME or cuda:DEVICE, not '${text}'`,
  );
}

function parseHugePages(text: string, detail: string, size: number): HugePageSize {
  const pageBytes = hugePageBytes(detail);
  if (pageBytes === undefined) {
    throw new UsageError(`--memory must name a size of huge pages such as 2M or 1G, not '${text}'`);
  }
  if (size % pageBytes !== 0) {
    throw new UsageError(
      `--size must be a multiple of ${detail}, the huge pages of '--memory ${text}', not ${size} bytes`,
    );
  }
  return detail as HugePageSize;
}

function readInto({ into: text, connections = '1' }: Values): Into | undefined {
  const into = given(text, parseInto);
  if (into?.type !== 'file' || Number(connections) === 1) return into;
  throw new UsageError(
    "--into a file takes one connection only: run a 'recv' with a port and a file of its own for each",
  );
}

function readPrepare(values: Values, mode: Mode, { listen }: Pick<Run, 'listen'>): boolean {
  if (values.prepare && values['no-prepare']) {
    throw new UsageError('give --prepare or --no-prepare, one of them');
  }
  const possible = mode !== 'copy' && values.interface !== undefined;
  if (values.prepare && !possible) {
    throw new UsageError('--prepare needs --interface and --queues, and no --mode copy');
  }
  if (values['no-prepare'] || !possible) return false;
  // Who needs a broker lacks the privilege to set anything up.
  if (values.broker !== undefined && !values.prepare) return false;
  if (listen?.port === 0) {
    throw new UsageError(
      '--listen needs a port, to be steered to the queues; or give --no-prepare',
    );
  }
  return true;
}

function readTransport(values: Values, mode: Mode): DeviceTransport {
  const transport = oneOf('--transport', values.transport ?? 'auto', TRANSPORTS);
  if (transport !== 'zcrx') return transport;
  if (mode === 'copy' || values.interface === undefined) {
    throw new UsageError('--transport zcrx needs --interface and --queues, and no --mode copy');
  }
  if (values.broker !== undefined) {
    throw new UsageError('--transport zcrx and --broker exclude each other');
  }
  if (given(values.queues, (text) => parseQueues('--queues', text))?.length !== 1) {
    throw new UsageError('--transport zcrx takes one queue');
  }
  return transport;
}

function readBroker(values: Values, mode: Mode): string | undefined {
  if (values.broker === undefined) return undefined;
  if (mode !== 'copy' && values.interface !== undefined) return values.broker;
  throw new UsageError('--broker needs --interface and --queues, and no --mode copy');
}

function parseMemorySize(text: string): number {
  const size = parseSize('--size', text, MAX_MEMORY_BYTES);
  if (size % PAGE === 0 && size >= 16 * PAGE) return size;
  throw new UsageError(`--size must be a multiple of ${PAGE} bytes, 64K or more, not '${text}'`);
}

function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found !== undefined) return found;
  throw new UsageError(`${option} must be one of ${allowed.join(', ')}, not '${value}'`);
}
