// @ts-check
/**
 * Debian packages without touching the host: apt runs with a sources list, package
 * lists and downloads of its own under the cache, and nothing is installed.
 *
 * What stays the host's: proxy and authentication settings (apt.conf.d), the mirror,
 * and the keyring that every download is verified with.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { LabError } from './report.mjs';
import { runTool, tryTool } from './process.mjs';

const DEFAULT_MIRRORS = Object.freeze({
  main: 'http://deb.debian.org/debian',
  security: 'http://deb.debian.org/debian-security',
});

const KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
];

/** Suites that tell a Debian mirror from any other source in the host's lists. */
const DEBIAN_SUITE =
  /^(?:(?:old)*stable|testing|bullseye|bookworm|trixie|forky|sid|unstable)(?<security>-security|\/updates)?(?:-|$)/;

/** @typedef {{ main: string, security: string }} Mirrors */
/** @typedef {{ uris: string[], suites: string[], enabled: boolean }} SourceEntry */

/**
 * Reads one file of apt sources, in the one-line or the deb822 format.
 *
 * @param {string} text
 * @param {'list' | 'sources'} format
 * @returns {SourceEntry[]}
 */
export function parseSources(text, format) {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  if (format === 'list') {
    return lines
      .map((line) => /^\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)/.exec(line))
      .filter((match) => match !== null)
      .map(([, uri = '', suite = '']) => ({ uris: [uri], suites: [suite], enabled: true }));
  }
  return lines
    .join('\n')
    .split(/\n\s*\n/)
    .map((stanza) => {
      /** @type {Record<string, string>} */
      const fields = {};
      for (const [, name = '', value = ''] of stanza.matchAll(
        /^([\w-]+):((?:.*)(?:\n[ \t].*)*)/gm,
      )) {
        fields[name.toLowerCase()] = value.trim();
      }
      const words = (/** @type {string | undefined} */ value) =>
        (value ?? '').split(/\s+/).filter(Boolean);
      return {
        uris: words(fields.uris),
        suites: words(fields.suites),
        enabled: fields.enabled?.toLowerCase() !== 'no' && words(fields.types).includes('deb'),
      };
    })
    .filter((entry) => entry.uris.length > 0);
}

/**
 * @param {readonly SourceEntry[]} entries
 * @returns {Mirrors} the first Debian mirrors named, else deb.debian.org
 */
export function chooseMirrors(entries) {
  /** @type {Partial<Mirrors>} */
  const found = {};
  for (const { uris, suites, enabled } of entries) {
    const uri = uris.find((candidate) => /^https?:/.test(candidate));
    if (!enabled || uri === undefined) continue;
    for (const suite of suites) {
      const match = DEBIAN_SUITE.exec(suite);
      if (match) found[match.groups?.security ? 'security' : 'main'] ??= uri.replace(/\/+$/, '');
    }
  }
  return { ...DEFAULT_MIRRORS, ...found };
}

/** @returns {Mirrors} */
function hostMirrors() {
  const entries = [];
  const parts = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(parts)
      ? readdirSync(parts)
          .sort()
          .map((name) => join(parts, name))
      : []),
  ];
  for (const file of files) {
    const format = file.endsWith('.list')
      ? 'list'
      : file.endsWith('.sources')
        ? 'sources'
        : undefined;
    if (format && existsSync(file))
      entries.push(...parseSources(readFileSync(file, 'utf8'), format));
  }
  return chooseMirrors(entries);
}

/**
 * @param {readonly string[]} suites e.g. `['bookworm-security', 'trixie-backports']`
 * @param {Mirrors} mirrors
 * @param {string} keyring
 * @param {'deb' | 'deb-src'} [type] packages, or their sources
 * @returns {string} a deb822 sources file
 */
export function renderSources(suites, mirrors, keyring, type = 'deb') {
  return suites
    .map((suite) =>
      [
        `Types: ${type}`,
        `URIs: ${suite.endsWith('-security') ? mirrors.security : mirrors.main}`,
        `Suites: ${suite}`,
        'Components: main',
        `Signed-By: ${keyring}`,
        '',
      ].join('\n'),
    )
    .join('\n');
}

/**
 * Compares dotted version texts by their numbers: 6.12.9 comes before 6.12.111.
 * Enough for kernel releases of one line; full Debian order is not needed.
 *
 * @param {string} a
 * @param {string} b
 * @returns {number}
 */
export function compareVersions(a, b) {
  const numbers = (/** @type {string} */ text) => (text.match(/\d+/g) ?? []).map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? -1) - (right[i] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * One package archive view, private to the lab.
 */
export class PrivateApt {
  #options;
  #folder;
  #suites;
  #type;

  /**
   * @param {object} options
   * @param {string} options.folder where its state lives
   * @param {readonly string[]} options.suites what it sees
   * @param {string} options.architecture Debian's name
   * @param {'deb' | 'deb-src'} [options.type] packages, or their sources
   */
  constructor({ folder, suites, architecture, type = 'deb' }) {
    this.#folder = folder;
    this.#suites = suites;
    this.#type = type;
    const settings = {
      'Dir::Etc::SourceList': join(folder, 'debian.sources'),
      'Dir::Etc::SourceParts': '-',
      'Dir::Etc::PreferencesParts': '-',
      'Dir::State': join(folder, 'state'),
      'Dir::State::Lists': join(folder, 'lists'),
      // An empty one: what the host has installed must not matter.
      'Dir::State::status': join(folder, 'status'),
      'Dir::Cache': join(folder, 'cache'),
      'APT::Architecture': architecture,
      'APT::Architectures': architecture,
      'Acquire::Languages': 'none',
      // Everything is verified and goes to folders of the caller: no need to become _apt.
      'APT::Sandbox::User': '',
      'APT::Update::Error-Mode': 'any',
    };
    this.#options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  }

  /** Fetches the package lists from the host's mirror, or from Debian's own where that lacks them. */
  async update() {
    const keyring = KEYRINGS.find((file) => existsSync(file));
    if (!keyring)
      throw new LabError('the Debian archive keyring is missing (package debian-archive-keyring)');
    for (const folder of ['state', 'lists/partial', 'cache/archives/partial']) {
      mkdirSync(join(this.#folder, folder), { recursive: true });
    }
    writeFileSync(join(this.#folder, 'status'), '');

    let problem = '';
    const tries = [hostMirrors(), DEFAULT_MIRRORS].map((mirrors) =>
      renderSources(this.#suites, mirrors, keyring, this.#type),
    );
    for (const sources of new Set(tries)) {
      writeFileSync(join(this.#folder, 'debian.sources'), sources);
      const { status, output } = await tryTool('apt-get', [...this.#options, '-q', 'update']);
      if (status === 0) return;
      problem = output;
    }
    throw new LabError(`the package lists cannot be fetched:\n${problem.trimEnd()}`);
  }

  /**
   * @param {RegExp} pattern
   * @returns {Promise<string[]>} names of known packages
   */
  async names(pattern) {
    const list = await runTool('apt-cache', [...this.#options, 'pkgnames']);
    return list.split('\n').filter((name) => pattern.test(name));
  }

  /**
   * @param {readonly string[]} packages
   * @returns {Promise<Map<string, string>>} package -> newest version; absent packages are left out
   */
  async versions(packages) {
    const table = await runTool('apt-cache', [...this.#options, 'madison', ...packages]);
    /** @type {Map<string, string>} */
    const versions = new Map();
    for (const line of table.split('\n')) {
      const [name = '', version = ''] = line.split('|').map((field) => field.trim());
      // madison lists newest first
      if (version && !versions.has(name)) versions.set(name, version);
    }
    return versions;
  }

  /**
   * Downloads, verifies and unpacks packages.
   *
   * @param {readonly string[]} packages names, or name=version
   * @param {string} into a folder that exists
   */
  async unpack(packages, into) {
    const downloads = join(into, '.packages');
    mkdirSync(downloads);
    await runTool('apt-get', [...this.#options, '-q', 'download', ...packages], { cwd: downloads });
    for (const file of readdirSync(downloads)) {
      await runTool('dpkg-deb', ['-x', join(downloads, file), into]);
    }
    await runTool('rm', ['-r', downloads]);
  }

  /**
   * Downloads and verifies the source of a package.
   *
   * @param {string} name
   * @param {string} into a folder that exists
   * @returns {Promise<string>} its upstream part, an archive
   */
  async source(name, into) {
    const options = [...this.#options, '-q', '--download-only'];
    await runTool('apt-get', [...options, 'source', name], { cwd: into });
    const archive = readdirSync(into).find((file) => /\.orig\.tar\.\w+$/.test(file));
    if (archive === undefined) throw new LabError(`the source of ${name} has no upstream part`);
    return join(into, archive);
  }
}
