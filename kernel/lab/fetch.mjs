// @ts-check
/** Brings Debian's own kernels into the cache, ready to boot and to build modules against. */
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';

import { PrivateApt } from './apt.mjs';
import { cacheRoot, keepNewest, publishFolder, withLock } from './cache.mjs';
import { chooseKernel, hostArchitecture } from './kernels.mjs';
import { KEPT_VERSIONS, cachedKernel, kernelHome, pointTo } from './layout.mjs';
import { runTool } from './process.mjs';
import { LabError, messageOf } from './report.mjs';

/** How long a kernel is taken as the newest without asking again. */
const CHECK_AGAIN_AFTER_MS = 24 * 60 * 60 * 1000;

/**
 * The newest kernel of a line, from the cache where that was checked within a day.
 *
 * @param {string} name
 * @param {import('./kernels.mjs').KernelLine} line
 * @param {{ update: boolean, reporter: import('./report.mjs').Reporter }} options update: ask the archive now
 * @returns {Promise<import('./layout.mjs').Kernel>}
 */
export async function ensureFetched(name, line, { update, reporter }) {
  const home = kernelHome(name);
  return withLock(
    join(home, 'lock'),
    async () => {
      const cached = cachedKernel(home);
      if (cached && !update && checkedRecently(home)) {
        reporter.note(`kernel ${cached.release} (cached)`);
        return cached;
      }
      try {
        return await fetchNewest(name, line, home, reporter);
      } catch (error) {
        if (!cached) throw error;
        const reason = messageOf(error).split('\n')[0];
        reporter.alert(
          `kernel ${cached.release} from the cache; a newer one could not be looked for: ${reason}`,
        );
        return cached;
      }
    },
    () => reporter.note(`waiting for another lab that is fetching ${name}…`),
  );
}

/** @param {string} home */
function checkedRecently(home) {
  const mark = join(home, 'checked');
  return existsSync(mark) && Date.now() - statSync(mark).mtimeMs < CHECK_AGAIN_AFTER_MS;
}

/**
 * @param {string} name
 * @param {import('./kernels.mjs').KernelLine} line
 * @param {string} home
 * @param {import('./report.mjs').Reporter} reporter
 * @returns {Promise<import('./layout.mjs').Kernel>}
 */
async function fetchNewest(name, line, home, reporter) {
  const architecture = hostArchitecture();
  const apt = new PrivateApt({
    folder: join(cacheRoot(), 'apt', name),
    suites: line.suites,
    architecture: architecture.debian,
  });
  reporter.note(`looking for the newest kernel of ${name}…`);
  await apt.update();
  const choice = await chooseKernel(line, await apt.names(line.release), (packages) =>
    apt.versions(packages),
  );
  if (!choice) throw new LabError(`no complete kernel of ${name} in ${line.suites.join(', ')}`);

  const folder = join(home, choice.version);
  if (existsSync(folder)) {
    reporter.note(`kernel ${choice.release} (cached, still the newest)`);
  } else {
    reporter.note(`downloading kernel ${choice.release} and its headers…`);
    await publishFolder(folder, async (draft) => {
      const unpacked = join(draft, 'unpacked');
      const tools = join(draft, 'tools');
      mkdirSync(unpacked);
      mkdirSync(tools);
      await apt.unpack(choice.packages, unpacked);
      await apt.unpack(line.toolLibraries, tools);
      arrange(draft, choice.release);
      await runTool('depmod', ['--basedir', draft, choice.release]);
      makeHeadersUsable(draft, folder, architecture);
    });
  }
  pointTo(home, choice.version);
  keepNewest(home, KEPT_VERSIONS);
  writeFileSync(join(home, 'checked'), '');
  utimesSync(join(home, 'checked'), new Date(), new Date());

  const kernel = cachedKernel(home);
  if (!kernel) throw new LabError(`${home} holds no kernel after fetching one`);
  return kernel;
}

/**
 * Gives the parts of an unpacked kernel the names of the cache's layout.
 *
 * @param {string} folder
 * @param {string} release
 */
function arrange(folder, release) {
  const unpacked = join(folder, 'unpacked');
  /** Links `name` to the first of the places where packages of some age put that part. */
  const link = (/** @type {string} */ name, /** @type {string[]} */ ...places) => {
    const place = places.map((path) => join(unpacked, path)).find((path) => existsSync(path));
    if (!place) throw new LabError(`the packages of ${release} lack ${places[0]}`);
    const target = join(folder, name);
    mkdirSync(join(target, '..'), { recursive: true });
    symlinkSync(relative(join(target, '..'), place), target);
  };
  const modules = `usr/lib/modules/${release}`;
  link('vmlinuz', `boot/vmlinuz-${release}`, `${modules}/vmlinuz`, `${modules}/vmlinuz.unsigned`);
  link('config', `boot/config-${release}`, `${modules}/config`);
  link('lib/modules', `usr/lib/modules`, `lib/modules`);
  link(`headers/${release}`, `usr/src/linux-headers-${release}`);
  writeFileSync(join(folder, 'release'), `${release}\n`);
}

/**
 * Makes `make -C headers/RELEASE M=…` work where the headers lie now, with the
 * host's compiler and without Debian's exact tool chain.
 *
 * @param {string} draft  where the files are now
 * @param {string} folder where they will be: what goes into the files
 * @param {import('./kernels.mjs').Architecture} architecture
 */
function makeHeadersUsable(draft, folder, architecture) {
  const sources = join(draft, 'unpacked/usr/src');
  for (const name of readdirSync(sources).filter((entry) =>
    existsSync(join(sources, entry, '.config')),
  )) {
    const headers = join(sources, name);
    edit(join(headers, 'Makefile'), (text) =>
      text.replaceAll('/usr/src/', `${folder}/unpacked/usr/src/`),
    );
    // The compiler that built the kernel where the host has it, else the host's own.
    edit(join(headers, '.kernelvariables'), (text) =>
      text.replace(
        /^CC = .*?(gcc-\d+)$/m,
        'CC := $(if $(shell command -v $(CROSS_COMPILE)$1),$(CROSS_COMPILE)$1,gcc)',
      ),
    );
    edit(join(headers, 'include/config/auto.conf'), (text) =>
      text
        // Needs pahole, and without it deletes the finished module. BTF serves only BPF.
        .replace(/^CONFIG_DEBUG_INFO_BTF_MODULES=.*\n/m, '')
        // A flag that gcc before 14 refuses; without it kbuild uses -falign-functions.
        .replace(/^CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=.*\n/m, ''),
    );
  }
  const library = join(draft, 'unpacked/usr/lib');
  const run = runnerFor(draft, folder, architecture);
  for (const name of readdirSync(library).filter((entry) => entry.startsWith('linux-kbuild-'))) {
    wrapTools(join(library, name), run);
  }
}

/**
 * @param {string} draft
 * @param {string} folder
 * @param {import('./kernels.mjs').Architecture} architecture
 * @returns {string} a shell command that runs a program with the unpacked C library
 */
function runnerFor(draft, folder, { loader, libraries }) {
  // libc6 and its companions moved from /lib to /usr/lib between releases.
  const places = [`lib/${libraries}`, `usr/lib/${libraries}`];
  const place = places.find((path) => existsSync(join(draft, 'tools', path, loader)));
  if (!place) throw new LabError(`no ${loader} in the unpacked C library`);
  const path = places.map((each) => `${folder}/tools/${each}`).join(':');
  return `'${folder}/tools/${place}/${loader}' --library-path '${path}'`;
}

/**
 * Puts a script before every build tool that runs it under the C library it was
 * linked against: the host's may be older (Debian 12 has 2.36, a 7.x kernel's
 * tools want 2.38).
 *
 * @param {string} folder
 * @param {string} run from runnerFor
 */
function wrapTools(folder, run) {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || !isElfProgram(path)) continue;
    renameSync(path, `${path}.elf`);
    // argv[0] stays: modpost and objtool look for their variants beside it.
    writeFileSync(path, `#!/bin/sh\nexec ${run} --argv0 "$0" "$0.elf" "$@"\n`);
    chmodSync(path, 0o755);
  }
}

/** @param {string} path */
function isElfProgram(path) {
  if (!(lstatSync(path).mode & 0o111)) return false;
  const file = openSync(path, 'r');
  try {
    const magic = Buffer.alloc(4);
    readSync(file, magic, 0, 4, 0);
    return magic.equals(Buffer.from('\x7fELF', 'latin1'));
  } finally {
    closeSync(file);
  }
}

/**
 * @param {string} file
 * @param {(text: string) => string} change
 */
function edit(file, change) {
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}
