// @ts-check
// `npm run prebuild`: makes prebuilds/linux-<arch>/devmem-tcp.<libc>.node, the addon
// that the npm package carries. One binary serves all Node versions (Node-API).
// Builds in a folder of its own, so that build/ stays as it is, and only where the
// sources are newer than the binary (npm also runs this ahead of `npm run build`).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const arch = process.env.PREBUILD_ARCH ?? process.arch;
const output = path.join(root, 'prebuilds', `linux-${arch}`);

function upToDate() {
  if (!existsSync(output)) return false;
  const binaries = readdirSync(output).filter((name) => name.endsWith('.node'));
  const native = path.join(root, 'src', 'native');
  const sources = readdirSync(native, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(cc|h)$/.test(name))
    .map((name) => path.join(native, name));
  const changed = Math.max(
    ...[...sources, path.join(root, 'binding.gyp')].map((file) => statSync(file).mtimeMs),
  );
  return binaries.some((name) => statSync(path.join(output, name)).mtimeMs > changed);
}

/** Node's headers where they came with this Node; else node-gyp downloads them. */
function headers() {
  const prefix = path.resolve(process.execPath, '../..');
  const shipped = existsSync(path.join(prefix, 'include', 'node', 'node_api.h'));
  return shipped ? { npm_config_nodedir: prefix } : {};
}

function build() {
  // Inside node_modules, where node-addon-api and node-gyp are found; just there, as gyp
  // puts Makefiles at node-addon-api's relative path from build/.
  const folder = mkdtempSync(path.join(root, 'node_modules', '.prebuild-'));
  try {
    for (const name of ['binding.gyp', 'src']) {
      symlinkSync(path.join(root, name), path.join(folder, name));
    }
    return prebuildify(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param {string} folder holds what to build */
function prebuildify(folder) {
  const downloads = process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache');
  const args = [
    path.join(root, 'node_modules', 'prebuildify', 'bin.js'),
    ...['--napi', '--strip', '--tag-libc', '--name', 'devmem-tcp'],
    ...['--target', process.versions.node, '--arch', arch],
    ...['--cwd', folder, '--out', root, '--cache', path.join(downloads, 'devmem-tcp', 'headers')],
  ];
  const result = spawnSync(process.execPath, args, {
    env: { JOBS: 'max', ...headers(), ...process.env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return result.status ?? 1;
}

if (process.platform !== 'linux') {
  process.stderr.write('prebuild: only Linux has an addon to build\n');
} else if (upToDate()) {
  process.stderr.write(`prebuild: ${path.relative(root, output)} is up to date\n`);
} else {
  process.exitCode = build();
}
