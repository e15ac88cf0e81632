/** Programs that a bundler made one file of. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { VERSION } from '../../dist/version.js';
import { hostTarget, prebuildOf } from '../../scripts/prebuild/targets.mjs';
import { Consumer } from './support/consumer.js';
import { replaceInFile } from './support/elf.js';
import { NODE_VERSIONS, type NodeBinary, requiredNode } from './support/node-versions.js';
import { run } from './support/run.js';
import { temporaryFolder } from './support/tarball.js';

let consumer: Consumer;

beforeAll(async () => {
  consumer = await Consumer.create();
});

afterAll(() => {
  consumer[Symbol.dispose]();
});

type Format = 'esm' | 'cjs';

interface Settings {
  external?: string[];
  /** Where the bundle runs: with the package installed, or alone. */
  folder?: string;
  env?: Record<string, string>;
  node?: string;
}

/** Bundles a program with esbuild and runs it; what it printed. */
async function bundleAndRun(
  format: Format,
  { external = [], folder = consumer.folder, env = {}, node = process.execPath }: Settings = {},
): Promise<unknown> {
  const file = path.join(folder, `bundle.${format === 'esm' ? 'mjs' : 'cjs'}`);
  await build({
    absWorkingDir: consumer.folder,
    entryPoints: ['bundled.mjs'],
    outfile: file,
    bundle: true,
    platform: 'node',
    format,
    external,
    logLevel: 'silent',
  });
  const { status, stdout, stderr } = await run(node, ['--no-warnings', file], {
    cwd: folder,
    env: { ...consumer.environment, PREBUILDS_ONLY: '1', ...env },
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout);
}

/** A folder with nothing in it but a copy of the binary. */
function withAddonAlone(): { folder: string; addon: string } {
  const folder = temporaryFolder();
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const addon = path.join(folder, 'devmem-tcp.node');
  cpSync(path.join(consumer.installed, prebuildOf(hostTarget()!)), addon);
  return { folder, addon };
}

/** Compiles an addon that exports nothing. */
function compileOtherAddon(file: string): void {
  const source =
    'void *napi_register_module_v1(void *env, void *exports) { (void)env; return exports; }';
  execFileSync('cc', ['-shared', '-fPIC', '-xc', '-o', file, '-'], { input: source });
}

describe.each(['esm', 'cjs'] as const)('a bundle of esbuild (%s)', (format) => {
  describe.each(NODE_VERSIONS)('on Node %i', (major) => {
    let binary: NodeBinary;

    beforeAll(async () => {
      binary = await requiredNode(major);
    });

    it('works where it leaves the package out, as the README says', async (context) => {
      if ('reason' in binary) return context.skip(binary.reason);
      const settings = { external: ['devmem-tcp'], node: binary.file };
      expect(await bundleAndRun(format, settings)).toEqual({ transport: 'copy' });
    });

    it('works alone with the binary that DEVMEM_TCP_ADDON names', async (context) => {
      if ('reason' in binary) return context.skip(binary.reason);
      const { folder, addon } = withAddonAlone();
      const settings = { folder, env: { DEVMEM_TCP_ADDON: addon }, node: binary.file };
      expect(await bundleAndRun(format, settings)).toEqual({ transport: 'copy' });
    });
  });

  it('says what is wrong where it has neither, and both ways out', async () => {
    const said = (await bundleAndRun(format)) as { reason: string };
    expect(said.reason).toContain('devmem-tcp was bundled into another file');
    expect(said.reason).toContain('--external:devmem-tcp');
    expect(said.reason).toContain('DEVMEM_TCP_ADDON');
  });

  it('takes a name that is relative to where it was started', async () => {
    const { folder } = withAddonAlone();
    const env = { DEVMEM_TCP_ADDON: 'devmem-tcp.node' };
    expect(await bundleAndRun(format, { folder, env })).toEqual({ transport: 'copy' });
  });
});

describe('DEVMEM_TCP_ADDON', () => {
  it('that names nothing says so', async () => {
    const env = { DEVMEM_TCP_ADDON: '/nowhere/devmem-tcp.node' };
    const { reason } = (await bundleAndRun('esm', { env })) as { reason: string };
    expect(reason).toContain('DEVMEM_TCP_ADDON names /nowhere/devmem-tcp.node: there is no such');
    expect(reason).toContain('prebuilds/linux-ARCH/devmem-tcp.LIBC.node');
  });

  it('that names what is no binary says so', async () => {
    const { folder, addon } = withAddonAlone();
    writeFileSync(addon, 'nothing');
    const settings = { folder, env: { DEVMEM_TCP_ADDON: addon } };
    const { reason } = (await bundleAndRun('esm', settings)) as { reason: string };
    expect(reason).toContain(`DEVMEM_TCP_ADDON names ${addon}:`);
    expect(reason).toContain('It is damaged');
  });

  it('that names what was copied in part says so, and the process goes on', async () => {
    const { folder, addon } = withAddonAlone();
    truncateSync(addon, Math.floor(statSync(addon).size / 2));
    const settings = { folder, env: { DEVMEM_TCP_ADDON: addon } };
    const { reason } = (await bundleAndRun('esm', settings)) as { reason: string };
    expect(reason).toMatch(
      /^DEVMEM_TCP_ADDON names .* file too short, \d+ of \d+ bytes\. It is damaged/,
    );
  });

  it("that names another version's binary says which, and which this is", async () => {
    const { folder, addon } = withAddonAlone();
    const other = VERSION.replaceAll(/\d/g, '9');
    replaceInFile(addon, `${VERSION}\0`, `${other}\0`);
    const settings = { folder, env: { DEVMEM_TCP_ADDON: addon } };
    const { reason } = (await bundleAndRun('esm', settings)) as { reason: string };
    expect(reason).toContain(
      `DEVMEM_TCP_ADDON names ${addon}: it is the addon of devmem-tcp ${other}, and what loads it is devmem-tcp ${VERSION}.`,
    );
    expect(reason).toContain('of the same version');
  });

  it.for([
    ['a folder with an index.js', 'folder', 'it is no file'],
    ['JavaScript', 'named.js', 'It is damaged'],
    ['the addon of another package', 'other.node', 'of another package'],
  ] as const)('that names %s runs no script, and says so', async ([, name, reason]) => {
    const { folder } = withAddonAlone();
    mkdirSync(path.join(folder, 'folder'));
    for (const file of ['folder/index.js', 'named.js']) {
      writeFileSync(path.join(folder, file), 'process.stdout.write("was run"); throw 1;');
    }
    compileOtherAddon(path.join(folder, 'other.node'));
    const env = { DEVMEM_TCP_ADDON: name };
    const said = (await bundleAndRun('esm', { folder, env })) as { reason: string };
    expect(said.reason).toContain(reason);
    expect(said.reason).not.toContain('node-gyp');
  });

  it('needs no particular name', async () => {
    const { folder, addon } = withAddonAlone();
    renameSync(addon, path.join(folder, 'addon.bin'));
    const env = { DEVMEM_TCP_ADDON: 'addon.bin' };
    expect(await bundleAndRun('esm', { folder, env })).toEqual({ transport: 'copy' });
  });

  it('holds where the package is installed too', async () => {
    const env = { DEVMEM_TCP_ADDON: '/nowhere/devmem-tcp.node' };
    const settings = { external: ['devmem-tcp'], env };
    const { reason } = (await bundleAndRun('esm', settings)) as { reason: string };
    expect(reason).toContain('there is no such file');
  });
});
