import { MARKS, seriesFor } from '../../kernel/series.js';
import type { Unsupported } from '../../load-addon.js';
import type { Files } from '../files.js';
import type { Machine } from '../machine.js';

export interface KernelFacts {
  platform: string;
  release: string | undefined;
  /** Why the addon could not be loaded, if it could not. */
  unsupported: Unsupported | undefined;
  canBindRx: boolean | undefined;
  dontneedError: number | undefined;
  /** Why there is no token queue; null where there is. */
  tokenQueue: ReturnType<Machine['tokenQueue']>;
  /** Why io_uring cannot receive into dma-bufs; null where it can. */
  zcrx: ReturnType<Machine['zcrx']>;
  config: KernelConfig | undefined;
  /** Whether urgent data in device memory is harmless; undefined: it does not tell. */
  urgentFixed: boolean | undefined;
  /** What copies of packets beside device memory do; undefined: it does not tell. */
  copiesOfPackets: 'panic' | 'overwrite' | 'no harm' | undefined;
  /** Whether it has the series of kernel/patches that is for it; undefined: it does not tell. */
  seriesApplied: boolean | undefined;
  /** Those open in this network namespace. */
  packetSockets: number | undefined;
}

/** What the kernel was built with, from the first file that tells. */
export interface KernelConfig {
  /** The file that it was read from. */
  source: string;
  /** `'y'`, `'m'` or another value; undefined where the option is not set. */
  option(name: string): string | undefined;
}

export async function kernelFacts(machine: Machine): Promise<KernelFacts> {
  const { platform, release, unsupported, files } = machine;
  const symbols = files.text('/proc/kallsyms');
  return {
    platform,
    release,
    unsupported,
    canBindRx: await machine.canBindRx(),
    dontneedError: machine.dontneedError(),
    tokenQueue: machine.tokenQueue(),
    zcrx: machine.zcrx(),
    config: readConfig(files, release),
    urgentFixed: hasSymbol(symbols, MARKS.urgentData),
    copiesOfPackets: copiesOfPackets(symbols),
    seriesApplied: hasSymbol(symbols, seriesFor(release)?.mark ?? MARKS.readers),
    packetSockets: countPacketSockets(files),
  };
}

// Mainline's, later than 6.12, tells pages from net_iovs and keeps the binding; what
// kernel/patches brings keeps the place in it, too.
const KEEPS_BINDING = '(__)?get_netmem';
const KEEPS_PLACE = `(skb_net_iov_ref|net_devmem_page_offset|${MARKS.readers})`;

function copiesOfPackets(symbols: string | undefined): KernelFacts['copiesOfPackets'] {
  if (!symbols) return undefined;
  if (hasSymbol(symbols, KEEPS_PLACE) === true) return 'no harm';
  return hasSymbol(symbols, KEEPS_BINDING) === true ? 'overwrite' : 'panic';
}

/** The file has a line of headings, and one per socket. */
function countPacketSockets(files: Files): number | undefined {
  const sockets = files.text('/proc/net/packet');
  return sockets === undefined ? undefined : sockets.split('\n').length - 1;
}

// Without privilege the addresses are zeros; the names are there.
function hasSymbol(symbols: string | undefined, pattern: string): boolean | undefined {
  if (!symbols) return undefined;
  return new RegExp(` [tT] ${pattern}$`, 'm').test(symbols);
}

// A kernel's configuration is some 300 KiB of text.
const CONFIG_LIMIT = 16 * 2 ** 20;

function readConfig(files: Files, release: string): KernelConfig | undefined {
  const packed = files.bytes('/proc/config.gz');
  const unpacked = packed === undefined ? undefined : unpack(packed);
  if (unpacked !== undefined) return parseConfig('/proc/config.gz', unpacked);
  for (const source of [`/boot/config-${release}`, `/lib/modules/${release}/config`]) {
    const text = files.text(source);
    if (text !== undefined) return parseConfig(source, text);
  }
  return undefined;
}

function unpack(packed: Buffer): string | undefined {
  try {
    const { gunzipSync } = process.getBuiltinModule('node:zlib');
    return gunzipSync(packed, { maxOutputLength: CONFIG_LIMIT }).toString('utf8');
  } catch {
    return undefined;
  }
}

export function parseConfig(source: string, text: string): KernelConfig | undefined {
  const values = new Map<string, string>();
  for (const [, name, value] of text.matchAll(/^CONFIG_(\w+)=(.*)$/gm)) values.set(name!, value!);
  // A file that sets nothing is no configuration.
  return values.size === 0 ? undefined : { source, option: (name) => values.get(name) };
}
