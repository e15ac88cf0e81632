/** The package as a consumer has it after `npm install`. */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';

import { Consumer } from './support/consumer.js';
import { nodeTypes } from './support/node-versions.js';
import { mustRun, ROOT, run } from './support/run.js';

const TOOLS = path.join(ROOT, 'node_modules');

let consumer: Consumer;

beforeAll(async () => {
  consumer = await Consumer.create();
});

afterAll(() => {
  consumer[Symbol.dispose]();
});

/** How TypeScript finds modules: as Node.js does, or as bundlers do. */
const RESOLUTIONS = {
  nodenext: ['--module', 'nodenext'],
  bundler: ['--module', 'esnext', '--moduleResolution', 'bundler'],
} as const;
type Resolution = keyof typeof RESOLUTIONS;

/** @param typeRoots - a folder with `node`, Node's types */
async function compileSample(typeRoots: string, resolution: Resolution): Promise<void> {
  const options = [
    ...['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess'],
    ...['--target', 'es2023', '--lib', 'es2023,esnext.disposable'],
    ...RESOLUTIONS[resolution],
    ...['--types', 'node', '--typeRoots', typeRoots],
  ];
  const tsc = path.join(TOOLS, 'typescript', 'bin', 'tsc');
  await mustRun(process.execPath, [tsc, ...options, 'sample.ts'], { cwd: consumer.folder });
}

/** As whoever publishes the package fills it in. */
async function withRepository(url: string, run: () => Promise<void>): Promise<void> {
  const file = path.join(consumer.installed, 'package.json');
  const before = readFileSync(file, 'utf8');
  const manifest = JSON.parse(before) as object;
  writeFileSync(file, JSON.stringify({ ...manifest, repository: { type: 'git', url } }));
  try {
    await run();
  } finally {
    writeFileSync(file, before);
  }
}

/** Runs a few lines of JavaScript in the consumer's folder and parses what they print. */
async function evaluate(type: 'module' | 'commonjs', code: string): Promise<unknown> {
  const { status, stdout, stderr } = await consumer.run([`--input-type=${type}`, '--eval', code]);
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe('the installed package', () => {
  it('is imported from ESM', async () => {
    const code = `import * as devmem from 'devmem-tcp';
      console.log(JSON.stringify([typeof devmem.bindRx, devmem.isSupported()]))`;
    expect(await evaluate('module', code)).toEqual(['function', true]);
  });

  it('is required from CommonJS', async () => {
    const code = `const { bindRx, isSupported } = require('devmem-tcp');
      console.log(JSON.stringify([typeof bindRx, isSupported()]))`;
    expect(await evaluate('commonjs', code)).toEqual(['function', true]);
  });

  it('loads the addon from its prebuild', async () => {
    const code = `const { isSupported } = require('devmem-tcp');
      isSupported();
      console.log(JSON.stringify(process.report.getReport().sharedObjects
        .filter((name) => name.endsWith('.node'))))`;
    const prebuild = `prebuilds/linux-${process.arch}/devmem-tcp.glibc.node`;
    expect(await evaluate('commonjs', code)).toEqual([path.join(consumer.installed, prebuild)]);
  });

  it('receives a stream over the copy transport', async () => {
    const { status, stdout, stderr } = await consumer.run(['receive.mjs']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({ transport: 'copy', bytes: 8 * 2 ** 20, whole: true });
    expect(status).toBe(0);
  });

  it('has the patches that its command names', async () => {
    const main = path.join(consumer.installed, 'dist', 'bundle', 'cli.js');
    const { stdout } = await consumer.run([main, 'kernel', '--release', '6.12', '--json']);
    const { series } = JSON.parse(stdout) as { series: { folder: string; patches: object[] } };
    expect(series.folder).toBe(path.join(consumer.installed, 'kernel', 'patches', 'linux-6.12'));
    expect(series.patches.length).toBeGreaterThan(10);
  });

  it('says of the lab, which it does not have, that it needs a clone', async () => {
    const main = path.join(consumer.installed, 'dist', 'bundle', 'cli.js');
    const url = 'https://git.example/devmem-tcp.git';
    for (const args of [['lab'], ['demo', '--lab'], ['demo', '--kernel', 'debian-7']]) {
      const { status, stderr } = await consumer.run([main, ...args]);
      expect(status, stderr).not.toBe(0);
      expect(stderr).toContain('the lab is no part of the installed package');
      expect(stderr).toContain("In the clone it is 'npm run lab -- COMMAND'");
      expect(stderr).not.toContain('git clone');
    }
    await withRepository(`git+${url}`, async () => {
      const { stderr } = await consumer.run([main, 'lab']);
      expect(stderr).toContain(`'git clone ${url}'`);
    });
  });

  it.for(['nodenext', 'bundler'] as const)(
    'compiles in a TypeScript project that checks libraries too (%s)',
    async (resolution) => {
      await compileSample(path.join(TOOLS, '@types'), resolution);
    },
  );

  for (const major of [20, 22, 24]) {
    it(`compiles with the types of Node ${major}`, async (context: TestContext) => {
      const types = await nodeTypes(major);
      if ('reason' in types) {
        if (process.env.CI === 'true') throw new Error(types.reason);
        context.skip(types.reason);
      }
      await compileSample(types.folder, 'nodenext');
    });
  }
});

describe('where there is no binary', () => {
  it('is built by that command, and then works', async () => {
    const folder = path.join(path.dirname(consumer.folder), 'builder');
    cpSync(consumer.folder, folder, { recursive: true });
    rmSync(path.join(folder, 'node_modules', 'devmem-tcp', 'prebuilds'), { recursive: true });

    const nodeGyp = path.join(TOOLS, 'node-gyp', 'bin', 'node-gyp.js');
    const args = [nodeGyp, 'rebuild', '-C', 'node_modules/devmem-tcp/src/native'];
    const env = { JOBS: 'max', ...process.env, ...headers() };
    await mustRun(process.execPath, args, { cwd: folder, env });

    const received = await run(process.execPath, ['receive.mjs'], {
      cwd: folder,
      env: consumer.environment,
    });
    expect(received.stderr).toBe('');
    expect(JSON.parse(received.stdout)).toMatchObject({ whole: true });
  });
});

/** Node's headers where they came with this Node; else node-gyp downloads them. */
function headers(): NodeJS.ProcessEnv {
  const prefix = path.resolve(process.execPath, '../..');
  const shipped = existsSync(path.join(prefix, 'include', 'node', 'node_api.h'));
  return shipped ? { npm_config_nodedir: prefix } : {};
}
