// @ts-check
/**
 * Which kernels the lab knows, and where Debian keeps them. Names of packages and
 * machine facts are all in these tables: a new line, recipe or architecture goes here.
 */
import { compareVersions } from './apt.mjs';
import { LabError } from './report.mjs';

/**
 * @typedef {object} Architecture
 * @property {string} debian          Debian's name of it
 * @property {string} loader          the dynamic loader, as unpacked from libc6
 * @property {string} libraries       the multiarch folder under usr/lib
 */

/** @type {Readonly<Record<string, Architecture>>} By Node's `process.arch`. */
const ARCHITECTURES = Object.freeze({
  x64: {
    debian: 'amd64',
    loader: 'ld-linux-x86-64.so.2',
    libraries: 'x86_64-linux-gnu',
  },
});

/**
 * @returns {Architecture} this machine's
 * @throws {LabError}
 */
export function hostArchitecture() {
  const architecture = ARCHITECTURES[process.arch];
  if (!architecture) throw new LabError(`the lab runs on x86-64 so far, not on ${process.arch}`);
  return architecture;
}

/**
 * @typedef {object} KernelLine
 * @property {string} about              one line for --help
 * @property {readonly string[]} suites  where its packages, and the libraries of its build tools, are
 * @property {RegExp} release            finds the release, as group 1, in the name of the package that marks one
 * @property {(release: string) => string[]} packages all packages of one release
 * @property {readonly string[]} toolLibraries packages that the build tools in its headers are linked against
 */

/** @type {Readonly<Record<string, KernelLine>>} */
export const KERNEL_LINES = Object.freeze({
  'debian-6.12': {
    about: "Debian 12's newest stock 6.12 cloud kernel (bookworm-security)",
    suites: ['bookworm-security', 'bookworm'],
    release: /^linux-image-(6\.12\.\d+\+deb12-cloud-amd64)-unsigned$/,
    packages: (release) => [`linux-image-${release}-unsigned`, ...headerPackages(release)],
    toolLibraries: ['libc6', 'libelf1', 'zlib1g'],
  },
  'debian-7': {
    about: 'the newest stock 7.x cloud kernel (trixie-backports)',
    suites: ['trixie-backports', 'trixie'],
    release: /^linux-binary-unsigned-(7\.\d+\.\d+\+deb13-cloud-amd64)$/,
    // From 7.x on, what was one linux-image package comes in three parts.
    packages: (release) => [
      `linux-binary-unsigned-${release}`,
      `linux-modules-${release}`,
      `linux-base-${release}`,
      ...headerPackages(release),
    ],
    toolLibraries: ['libc6', 'libelf1t64', 'zlib1g', 'libzstd1'],
  },
});

/**
 * @typedef {object} KernelSource
 * @property {string} package            the one with the source as Debian patched it
 * @property {readonly string[]} suites  where it is
 */

/** @type {Readonly<Record<string, KernelSource>>} Sources that kernels are built from. */
export const KERNEL_SOURCES = Object.freeze({
  'linux-6.1': { package: 'linux-source-6.1', suites: ['bookworm-security', 'bookworm'] },
  'linux-6.12': { package: 'linux-source-6.12', suites: ['bookworm-security', 'bookworm'] },
  'linux-7': { package: 'linux-source-7.3', suites: ['trixie-backports'] },
});

/**
 * @typedef {object} KernelRecipe
 * @property {string} about                  one line for --help
 * @property {string} source                 a name of `KERNEL_SOURCES`
 * @property {readonly string[]} fragments   files of config/; where two name a symbol, the later one holds
 * @property {readonly string[]} patches     folders of kernel/patches, in the order in which they apply;
 *                                           'FOLDER/0002' ends with that patch of it
 * @property {GuestNeeds} guest
 */

/**
 * @typedef {object} GuestNeeds what a guest with this kernel needs, where nobody says otherwise
 * @property {number} memoryMiB
 * @property {number} timeoutSeconds for boot and command together
 */

/** @type {GuestNeeds} */
const STOCK_GUEST = { memoryMiB: 2048, timeoutSeconds: 600 };

/**
 * KASAN's shadow and quarantine take a fifth of the memory, all checks together much of the speed.
 *
 * @type {GuestNeeds}
 */
const DEBUG_GUEST = { memoryMiB: 3072, timeoutSeconds: 2400 };

/** @type {Readonly<Record<string, KernelRecipe>>} Kernels that the lab builds itself. */
export const KERNEL_RECIPES = Object.freeze({
  'patched-6.1': {
    about: "Debian 12's 6.1 with kernel/patches/linux-6.1, built here (minutes, once)",
    source: 'linux-6.1',
    fragments: ['base.config', 'linux-6.1.config'],
    patches: ['linux-6.1'],
    guest: STOCK_GUEST,
  },
  'debug-6.1': {
    about: 'patched-6.1 with KASAN, lockdep and other checks (minutes, once)',
    source: 'linux-6.1',
    fragments: ['base.config', 'linux-6.1.config', 'debug.config'],
    patches: ['linux-6.1'],
    guest: DEBUG_GUEST,
  },
  'plain-6.1': {
    about: "Debian 12's 6.1 as it is, in patched-6.1's configuration: to compare with",
    source: 'linux-6.1',
    fragments: ['base.config', 'linux-6.1.config', 'devmem-off.config'],
    patches: [],
    guest: STOCK_GUEST,
  },
  'off-6.1': {
    about: "patched-6.1 with the patches' own symbol off: to compare with",
    source: 'linux-6.1',
    fragments: ['base.config', 'linux-6.1.config', 'devmem-off.config'],
    patches: ['linux-6.1'],
    guest: STOCK_GUEST,
  },
  'patched-6.12': {
    about: '6.12 with kernel/patches/linux-6.12, built here (6 minutes once)',
    source: 'linux-6.12',
    fragments: ['base.config', 'linux-6.12.config'],
    patches: ['linux-6.12'],
    guest: STOCK_GUEST,
  },
  'debug-6.12': {
    about: 'patched-6.12 with KASAN, lockdep and other checks (10 minutes once)',
    source: 'linux-6.12',
    fragments: ['base.config', 'linux-6.12.config', 'debug.config'],
    patches: ['linux-6.12'],
    guest: DEBUG_GUEST,
  },
  'queue-6.12': {
    about: 'patched-6.12 with kernel/patches/linux-6.12-token-queue, built here (6 minutes once)',
    source: 'linux-6.12',
    fragments: ['base.config', 'linux-6.12.config'],
    patches: ['linux-6.12', 'linux-6.12-token-queue'],
    guest: STOCK_GUEST,
  },
  'debug-queue-6.12': {
    about: 'queue-6.12 with KASAN, lockdep and other checks (10 minutes once)',
    source: 'linux-6.12',
    fragments: ['base.config', 'linux-6.12.config', 'debug.config'],
    patches: ['linux-6.12', 'linux-6.12-token-queue'],
    guest: DEBUG_GUEST,
  },
  'patched-7': {
    about: '7.3 with kernel/patches/linux-7, built here (minutes, once)',
    source: 'linux-7',
    fragments: ['base.config', 'linux-7.config'],
    patches: ['linux-7'],
    guest: STOCK_GUEST,
  },
  'slots-7': {
    about: 'patched-7 with the token queue series up to its table of slots: to compare with',
    source: 'linux-7',
    fragments: ['base.config', 'linux-7.config'],
    patches: ['linux-7', 'linux-7-token-queue/0001'],
    guest: STOCK_GUEST,
  },
  'bulk-7': {
    about: 'slots-7 and fragments given back in bulk, no queues: to compare with',
    source: 'linux-7',
    fragments: ['base.config', 'linux-7.config'],
    patches: ['linux-7', 'linux-7-token-queue/0002'],
    guest: STOCK_GUEST,
  },
  'queue-7': {
    about: 'patched-7 with kernel/patches/linux-7-token-queue, built here (minutes, once)',
    source: 'linux-7',
    fragments: ['base.config', 'linux-7.config'],
    patches: ['linux-7', 'linux-7-token-queue'],
    guest: STOCK_GUEST,
  },
  'debug-7': {
    about: 'patched-7 with KASAN, lockdep and other checks (minutes, once)',
    source: 'linux-7',
    fragments: ['base.config', 'debug.config', 'linux-7.config'],
    patches: ['linux-7'],
    guest: DEBUG_GUEST,
  },
  'debug-queue-7': {
    about: 'queue-7 with KASAN, lockdep and other checks (minutes, once)',
    source: 'linux-7',
    fragments: ['base.config', 'debug.config', 'linux-7.config'],
    patches: ['linux-7', 'linux-7-token-queue'],
    guest: DEBUG_GUEST,
  },
});

export const DEFAULT_KERNEL = 'debian-6.12';

/** @returns {string[]} */
export const kernelNames = () => [...Object.keys(KERNEL_LINES), ...Object.keys(KERNEL_RECIPES)];

/**
 * @param {string} name of a kernel, known or not
 * @returns {GuestNeeds}
 */
export const guestNeeds = (name) => KERNEL_RECIPES[name]?.guest ?? STOCK_GUEST;

/**
 * @param {string} release e.g. 6.12.111+deb12-cloud-amd64
 * @returns {string[]} its headers, those shared between flavours, and the build tools
 */
function headerPackages(release) {
  const abi = release.replace(/-cloud-.*$/, '');
  return [`linux-headers-${release}`, `linux-headers-${abi}-common`, `linux-kbuild-${abi}`];
}

/**
 * @typedef {object} KernelChoice
 * @property {string} release
 * @property {string} version             the packages' common version
 * @property {readonly string[]} packages as `name=version`
 */

/**
 * The newest release of a line whose packages are all there: an archive in the
 * middle of an update may carry an image before its headers.
 *
 * @param {KernelLine} line
 * @param {readonly string[]} names                packages known by name
 * @param {(packages: string[]) => Promise<Map<string, string>>} versionsOf versions of those that can be had
 * @returns {Promise<KernelChoice | undefined>}
 */
export async function chooseKernel(line, names, versionsOf) {
  const releases = names
    .map((name) => line.release.exec(name)?.[1])
    .filter((release) => release !== undefined)
    .sort(compareVersions)
    .reverse();

  for (const release of releases) {
    const packages = line.packages(release);
    const versions = await versionsOf(packages);
    const [version, ...others] = new Set(packages.map((name) => versions.get(name)));
    if (version !== undefined && others.length === 0) {
      return { release, version, packages: packages.map((name) => `${name}=${version}`) };
    }
  }
  return undefined;
}
