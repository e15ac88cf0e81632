/** Numbers as people read them. */

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
const DECIMAL = ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s'] as const;

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = 0;
  while (value >= base && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  return `${unit === 0 ? value.toFixed(0) : value.toFixed(2)} ${units[unit]}`;
}

/** A size, e.g. `1.00 GiB`. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, 1024, BINARY);
}

/** A rate from bytes per second, e.g. `3.45 GB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return scaled(bytesPerSecond, 1000, DECIMAL);
}

const SUFFIXES: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** Reads a size such as `64M` or `1G` (binary units); undefined if it is none. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(?: (?=[KMGB]))?([KMG]?)(?:i?B)?$/i.exec(text);
  if (match === null) return undefined;
  return Math.round(Number(match[1]) * (SUFFIXES[match[2]!.toUpperCase()] ?? 1));
}
