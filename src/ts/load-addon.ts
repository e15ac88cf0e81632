/** Finding and loading the addon; where that fails, why, and what mends it. */
import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { lengthOfElf } from './elf.js';
import { VERSION } from './version.js';

/** Why the addon cannot be loaded. */
export interface Unsupported {
  /** What is wrong, in the words of what failed. */
  reason: string;
  /** What to do about it. */
  remedy: string;
  /** The command that does so. */
  command?: string;
  cause?: unknown;
}

/** All of it, as one message. */
export function unsupportedText({ reason, remedy, command }: Unsupported): string {
  return `${reason}. ${remedy}${command === undefined ? '' : `: ${command}`}`;
}

export type Loaded = { addon: object } | { unsupported: Unsupported };

export function loadAddon(): Loaded {
  const { platform } = process;
  if (platform !== 'linux') {
    const reason = `devmem-tcp needs Linux; this is ${platform}`;
    return { unsupported: { reason, remedy: 'Receive on Linux' } };
  }
  const named = process.env[FILE_VARIABLE];
  return named ? loadNamed(resolve(named)) : loadInstalled();
}

/** Names the addon's file, where it does not lie with the package: beside a bundle. */
const FILE_VARIABLE = 'DEVMEM_TCP_ADDON';

function loadNamed(file: string): Loaded {
  const refused = (why: Unsupported, cause?: unknown): Loaded => ({
    unsupported: { ...why, reason: `${FILE_VARIABLE} names ${file}: ${why.reason}`, cause },
  });
  try {
    if (!statSync(file).isFile()) return refused({ reason: 'it is no file', remedy: NAME_A_COPY });
    const loaded: { exports: Partial<Named> } = { exports: {} };
    checkWhole(file);
    // What require() is given under another name than .node, it runs as JavaScript.
    process.dlopen(loaded, file);
    const reason = strangerness(loaded.exports);
    if (reason === undefined) return { addon: loaded.exports };
    return refused({ reason, remedy: NAME_A_COPY });
  } catch (cause) {
    return refused(namedFailure(cause as NodeJS.ErrnoException, file), cause);
  }
}

/** What tells whose an addon is, in what it exports. */
interface Named {
  layout: unknown;
  version: string;
}

/** Why an addon is not this package's, of this version; undefined where it is. */
function strangerness({ layout, version }: Partial<Named>): string | undefined {
  if (layout === undefined) return 'it is an addon, but of another package';
  if (version === VERSION) return undefined;
  const its = version ?? 'of a version that does not tell its number';
  return `it is the addon of devmem-tcp ${its}, and what loads it is devmem-tcp ${VERSION}`;
}

const NAME_A_COPY = `Name a copy of the package's prebuilds/linux-ARCH/devmem-tcp.LIBC.node of the same version, or leave the variable out where the package is installed`;

function namedFailure(error: NodeJS.ErrnoException, file: string): Unsupported {
  if (error.code === 'ENOENT') return { reason: 'there is no such file', remedy: NAME_A_COPY };
  if (error.code === 'ERR_ACCESS_DENIED') return notFound(error);
  const { reason, remedy } = notLoaded(error, file);
  // What is built here lies elsewhere.
  return { reason, remedy: remedy === BUILD.remedy ? NAME_A_COPY : remedy };
}

function loadInstalled(): Loaded {
  let file: string | undefined;
  try {
    const folder = packageFolder(import.meta.url);
    if (folder === undefined) return { unsupported: BUNDLED };
    const require = createRequire(import.meta.url);
    file = (require('node-gyp-build') as NodeGypBuild).resolve(folder);
    checkWhole(file);
    return { addon: require(file) as object };
  } catch (cause) {
    const error = cause as NodeJS.ErrnoException;
    const why = file === undefined ? notFound(error) : notLoaded(error, file);
    return { unsupported: { ...why, cause } };
  }
}

/** Finds the binary for this machine: one that was built here, else a prebuilt one. */
interface NodeGypBuild {
  resolve(folder: string): string;
}

/**
 * Where the package lies; undefined where this code is not in its own file any more.
 *
 * @param here - where this code is. In CommonJS bundlers leave nothing, or the place on
 *   the machine that they ran on
 */
function packageFolder(here: string | undefined): string | undefined {
  if (here?.endsWith('/dist/load-addon.js') !== true) return undefined;
  try {
    readFileSync(new URL(here));
    return fileURLToPath(new URL('..', here));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const BUNDLED: Unsupported = {
  reason: 'devmem-tcp was bundled into another file, from where its native binary is not found',
  remedy: `Leave it out of the bundle (esbuild: --external:devmem-tcp; webpack: externals; see "Bundlers" in the README), and install it where the bundle runs; or copy the package's prebuilds/linux-ARCH/devmem-tcp.LIBC.node there, and name the copy in ${FILE_VARIABLE}`,
};

/**
 * The loader maps what the file's headers say, and whoever touches a page that the file does
 * not have is ended by SIGBUS: a file that was cut short is told of before.
 */
function checkWhole(file: string): void {
  const { size } = statSync(file);
  const needed = lengthOfElf(file) ?? 0;
  if (size < needed) throw new Error(`${file}: file too short, ${size} of ${needed} bytes`);
}

/** Those that this is tried on. */
const ARCHITECTURES = ['x64', 'arm64'];

const BUILD = {
  remedy: 'Build it here',
  command: 'npx node-gyp rebuild -C node_modules/devmem-tcp/src/native',
};

function notFound(error: NodeJS.ErrnoException): Unsupported {
  if (error.code === 'ERR_ACCESS_DENIED') {
    return {
      reason: `devmem-tcp may not read its own files: ${firstLine(error)}`,
      remedy: "Node.js's permission model is on: add --allow-fs-read and --allow-addons",
    };
  }
  if (error.code === 'MODULE_NOT_FOUND') {
    return {
      reason: `devmem-tcp is installed without what it needs: ${firstLine(error)}`,
      remedy: "Install it with its dependencies: 'npm install devmem-tcp'",
    };
  }
  if (!ARCHITECTURES.includes(process.arch)) {
    const reason = `devmem-tcp is for x64 and arm64; this is ${process.arch}`;
    return { reason, remedy: 'Receive on one of those' };
  }
  const target = `${process.platform}-${process.arch}`;
  return {
    reason: `devmem-tcp has no native binary for ${target} (Node.js ${process.version}): ${firstLine(error)}`,
    ...BUILD,
  };
}

/** What the dynamic loader may say, and what that means. */
const COMPLAINTS: readonly [pattern: RegExp, remedy: Omit<Unsupported, 'reason'>][] = [
  [
    /version [`'](?:GLIBC|GLIBCXX|CXXABI)_.* not found/,
    {
      remedy:
        'This system\'s C or C++ library is older than the binary was built for (see "Platforms" in the README). Build it here',
      command: BUILD.command,
    },
  ],
  [
    /failed to map segment|Operation not permitted|Permission denied/,
    {
      remedy:
        'Its file system is mounted noexec, or a security policy keeps code there from running: install the package elsewhere, or mount it with exec',
    },
  ],
  [
    /wrong ELF class|invalid ELF header|file too short|cannot read file data/,
    {
      remedy:
        'It is damaged, or of another architecture: install the package on this machine again, or build it',
      command: BUILD.command,
    },
  ],
  [
    /cannot open shared object file/,
    { remedy: 'Install the library that it names (libstdc++.so.6 is in libstdc++6 or libstdc++)' },
  ],
];

function notLoaded(error: NodeJS.ErrnoException, file: string): Unsupported {
  // The file is there: it is not Node.js that was asked, but what webpack put in its place.
  if (error.code === 'MODULE_NOT_FOUND') return BUNDLED;
  const reason = `devmem-tcp's native binary cannot be loaded: ${firstLine(error)}`;
  if (error.code === 'ERR_DLOPEN_DISABLED') {
    const remedy =
      'Run Node.js without --no-addons (NODE_OPTIONS may have it too); under its permission model, with --allow-addons';
    return { reason, remedy };
  }
  // The loader takes a file of another architecture for none.
  const message = error.message.startsWith(`${file}: cannot open`)
    ? 'invalid ELF header'
    : error.message;
  const [, remedy] = COMPLAINTS.find(([pattern]) => pattern.test(message)) ?? [];
  return { reason, ...(remedy ?? BUILD) };
}

function firstLine({ message }: Error): string {
  return message.split('\n', 1)[0]!.replace(/\.$/, '');
}
