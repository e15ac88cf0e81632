/** Which kernel takes which series of kernel/patches. kernel/README.md has the same as a table. */
import { atLeast, parseVersion, type Version } from '../kernel-version.js';

/** A folder of kernel/patches. */
export interface Series {
  /** The folder's name. */
  name: string;
  /** The version of Linux that it is for. */
  version: Version;
  /** The release that it was made against. */
  against: string;
  /** What it brings: the whole receive path, or fixes of the kernel's own. */
  brings: 'receive path' | 'fixes';
  /** A function that one of its latest patches adds: a kernel that has it has the series. */
  mark: string;
  /** Whether the series was changed without another function to look for since. */
  changedSince: boolean;
}

export const SERIES: readonly Series[] = [
  {
    name: 'linux-6.1',
    version: { major: 6, minor: 1 },
    against: '6.1.192',
    brings: 'receive path',
    mark: 'sk_psock_unreadable_waits',
    changedSince: true,
  },
  {
    name: 'linux-6.12',
    version: { major: 6, minor: 12 },
    against: '6.12.117',
    brings: 'fixes',
    mark: 'netif_mp_retry',
    changedSince: false,
  },
  {
    name: 'linux-7',
    version: { major: 7, minor: 3 },
    against: '7.3.4',
    brings: 'fixes',
    mark: 'netif_mp_retry',
    changedSince: false,
  },
];

/** The series for a release; undefined where there is none. */
export function seriesFor(release: string): Series | undefined {
  const version = parseVersion(release);
  return SERIES.find(
    (series) => series.version.major === version?.major && series.version.minor === version.minor,
  );
}

/** Whether the kernel of a release has the receive path without any patch. */
export function hasReceivePath(release: string): boolean | undefined {
  const version = parseVersion(release);
  return version === undefined ? undefined : atLeast(version, 6, 12);
}

/**
 * Functions that the series add: /proc/kallsyms of a kernel that has them tells so.
 * Whether a kernel panics cannot be found out by trying, not without risking the panic.
 */
export const MARKS = {
  /** Of the first fix in each series: urgent data. */
  urgentData: 'tcp_urg_unreadable',
  /** Of a later one in each: a kernel with it has all that is about references to net_iovs. */
  readers: 'sk_psock_unreadable_waits',
} as const;
