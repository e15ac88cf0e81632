/** What a kernel needs of this package, where it lies, and what is done with it. */
import path from 'node:path';

import { atLeast, parseVersion } from '../kernel-version.js';
import { shellWord } from '../nic/quoting.js';
import { type BundledSeries, bundledSeries, DEVMEMSIM } from './bundled.js';
import { hasReceivePath, type Series, SERIES, seriesFor } from './series.js';
import { type Fix, LEAST_STABLE, missingFixes } from './stable-fixes.js';

/**
 * How much of a series a running kernel has; `unknown`: nobody can tell. `all`: as of this release
 * or, with `changedSince`, an earlier one.
 */
export type Applied = 'all' | 'some' | 'none' | 'unknown';

/** The series for a kernel. */
export interface NeededSeries extends BundledSeries {
  name: string;
  brings: Series['brings'];
  /** The release that it was made against. */
  against: string;
  /** Whether `applied` `all` may be of an earlier release, because no function tells them apart. */
  changedSince: boolean;
  applied: Applied;
}

export interface KernelNeeds {
  release: string;
  /** Whether Linux of this version receives into device memory without a patch; null: unknown. */
  receivePath: boolean | null;
  /** The patches for it; null where there are none. */
  series: NeededSeries | null;
  /** Fixes of stable releases that it lacks; null where nobody can tell. */
  missingStableFixes: readonly Fix[] | null;
  /** What to do, in sentences. */
  advice: string[];
  /** What applies the patches, in the folder of the kernel's source. */
  applyCommands: string[];
  /** What builds and loads the software NIC; empty where it cannot run. */
  devmemsimCommands: string[];
}

/** What a running kernel tells of the series, by facts/kernel of the doctor. */
export interface RunningKernel {
  /** Whether it has the first fix of its series, and the whole; undefined: it does not tell. */
  urgentFixed: boolean | undefined;
  seriesApplied: boolean | undefined;
}

/**
 * @param release - e.g. `6.12.117+deb12-amd64`
 * @param running - absent where that is not the kernel that runs here
 */
export function kernelNeeds(release: string, running?: RunningKernel): KernelNeeds {
  const series = seriesFor(release);
  const needed = series === undefined ? null : neededSeries(series, running);
  return {
    release,
    receivePath: hasReceivePath(release) ?? null,
    series: needed,
    missingStableFixes: missingFixes(release) ?? null,
    advice: needed === null ? withoutSeries(release) : withSeries(release, needed),
    applyCommands: needed === null ? [] : applyCommands(needed),
    devmemsimCommands: canHaveDevmemsim(release) ? devmemsimCommands(release, running) : [],
  };
}

function neededSeries(series: Series, running: RunningKernel | undefined): NeededSeries {
  const { name, brings, against, changedSince } = series;
  return {
    name,
    brings,
    against,
    changedSince,
    applied: appliedOf(running),
    ...bundledSeries(name),
  };
}

function appliedOf(running: RunningKernel | undefined): Applied {
  if (running?.urgentFixed === undefined || running.seriesApplied === undefined) return 'unknown';
  if (running.seriesApplied) return 'all';
  return running.urgentFixed ? 'some' : 'none';
}

const UNTIL_THEN =
  "Until then let only peers that you trust reach bound queues, or drop urgent data ('devmem-tcp doctor' has the command), and run no packet socket (tcpdump, a DHCP client) beside them.";

/** Where a series was changed without another function, by which its mark could be told from its end. */
const AS_OF_WHEN =
  'If it was built from those of this release, nothing is to be done; if from those of an earlier one, build it anew: no running kernel tells which of the later ones it has.';

function withSeries(release: string, series: NeededSeries): string[] {
  const { name, against, brings, applied, changedSince, patches } = series;
  if (applied === 'all') {
    const todo = changedSince ? AS_OF_WHEN : 'Nothing is to be done.';
    return [`This kernel has the patches of ${name}. ${todo}`];
  }
  const what =
    brings === 'fixes'
      ? `The kernel receives into device memory by itself. ${name} has ${patches.length} fixes that no release of it has yet, the first of them for a panic that any peer can cause.`
      : `The kernel has no receive path. ${name} adds it in ${patches.length} patches, with the user interface of Linux 6.12; a driver has to be taught, and devmemsim is.`;
  const have = {
    some: 'This kernel has the first of them, of an earlier release: build it anew.',
    none: 'This kernel has none of them.',
    unknown: undefined,
  }[applied];
  const source = `They were made against Linux ${against}: apply them to the source of that release, or of one near it${isOfDistribution(release) ? '; the source of a distribution that mends its kernel itself may refuse some' : ''}.`;
  return [what, have, source, brings === 'fixes' ? UNTIL_THEN : undefined].filter(
    (sentence) => sentence !== undefined,
  );
}

/** One of whose number nobody can tell what it has. */
function isOfDistribution(release: string): boolean {
  return release.startsWith('6.12.') && missingFixes(release) === undefined;
}

function withoutSeries(release: string): string[] {
  const known = SERIES.map(({ name, against }) => `${name} (for ${against})`).join(', ');
  const version = parseVersion(release);
  if (version === undefined) {
    return [`'${release}' is no release of Linux, such as 6.12.117. There are ${known}.`];
  }
  if (!atLeast(version, 6, 12)) {
    return [
      `Linux ${version.major}.${version.minor} has no receive path, and there are no patches that add it.`,
      `Boot Linux 6.12 (6.12.${LEAST_STABLE} or newer), 7.3, or 6.1, with their patches: there are ${known}. Or copy: bindRx's mode 'copy' works on every kernel.`,
    ];
  }
  return [
    `The kernel receives into device memory by itself. It needs fixes as its neighbours do, and there is no series for Linux ${version.major}.${version.minor}: there are ${known}.`,
    'Boot one of those with its patches. Those of the nearest may apply to this one as well; nobody has tried.',
    UNTIL_THEN,
  ];
}

/** A cover letter changes nothing: patch(1) passes over it. */
function applyCommands({ folder, brings }: NeededSeries): string[] {
  const symbols =
    brings === 'fixes'
      ? '-e UDMABUF'
      : '-e UDMABUF -e DMABUF_HEAPS -e DMABUF_HEAPS_SYSTEM -e NET_DEVMEM';
  return [
    `cat ${shellWord(folder)}/*.patch | patch -p1`,
    'cp "/boot/config-$(uname -r)" .config',
    `scripts/config ${symbols}`,
    'make olddefconfig',
    'make -j"$(nproc)" bindeb-pkg',
  ];
}

/** It needs the receive path: the kernel's own, or the series'. */
function canHaveDevmemsim(release: string): boolean {
  return hasReceivePath(release) === true || seriesFor(release)?.brings === 'receive path';
}

function devmemsimCommands(release: string, running: RunningKernel | undefined): string[] {
  const modules = running === undefined ? shellWord(release) : '"$(uname -r)"';
  return [
    // The package's folder may belong to somebody else.
    `cp -r ${shellWord(DEVMEMSIM)} .`,
    `make -C ${path.basename(DEVMEMSIM)} KDIR=/lib/modules/${modules}/build`,
    `insmod ${path.basename(DEVMEMSIM)}/devmemsim.ko header_split=1`,
  ];
}
