/** Where the addon is there and cannot be loaded, the reason is told. */
import { cpSync, rmSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';

import type { Report } from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { itWhere } from '../support/conditions.js';
import { Consumer } from './support/consumer.js';
import { neededVersions, replaceInFile, setForeignMachine } from './support/elf.js';
import { run } from './support/run.js';

let consumer: Consumer;

beforeAll(async () => {
  consumer = await Consumer.create();
});

afterAll(() => {
  consumer[Symbol.dispose]();
});

const asRoot = itWhere(process.getuid?.() === 0, 'needs root: run the tests as root');

const PREBUILD = `prebuilds/linux-${process.arch}/devmem-tcp.glibc.node`;
const BINARY = `node_modules/devmem-tcp/${PREBUILD}`;
const BUILD = 'npx node-gyp rebuild -C node_modules/devmem-tcp/src/native';

/** A copy of the consumer to whose binary something was done. */
function spoiled(spoil: (binary: string) => void): string {
  const folder = `${consumer.folder}-spoiled`;
  cpSync(consumer.folder, folder, { recursive: true, verbatimSymlinks: true });
  onTestFinished(() => rmSync(folder, { recursive: true }));
  spoil(path.join(folder, BINARY));
  return folder;
}

const TELL = `
  import { DmaBuf, isSupported, unsupportedReason } from 'devmem-tcp';
  const error = await DmaBuf.allocate({ size: 2 ** 20 }).catch((error) => error);
  const { code, message } = error;
  console.log(JSON.stringify({ code, message, cause: error.cause?.message }));
  if (isSupported() || unsupportedReason() !== message) throw new Error('it says two things');`;

interface Told {
  code: string;
  message: string;
  cause?: string;
}

/** What a program of the consumer is told: by the error, and by unsupportedReason(). */
async function tell(folder: string, flags: string[] = [], prefix: string[] = []): Promise<Told> {
  const program = [process.execPath, ...flags, '--input-type=module', '--eval', TELL];
  const [command, ...args] = [...prefix, ...program];
  const env = { ...process.env, PREBUILDS_ONLY: '1' };
  const { status, stdout, stderr } = await run(command!, args, { cwd: folder, env });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as Told;
}

/** The same of one with the loader's words in it. */
async function expectTold(told: Promise<Told>, words: string, remedy: string): Promise<void> {
  const { code, message, cause } = await told;
  expect(code).toBe('ERR_DEVMEM_UNSUPPORTED');
  expect(message).toContain(words);
  expect(cause).toContain(words);
  expect(message).toContain(remedy);
}

describe('an addon that cannot be loaded is told of, with what failed and what mends it', () => {
  const DISABLED = 'loading addons is disabled';

  it('where Node.js takes none', async () => {
    const flags = ['--no-addons'];
    await expectTold(tell(consumer.folder, flags), DISABLED, 'without --no-addons');
  });

  // The option's name up to Node.js 22.
  const known = process.allowedNodeEnvironmentFlags.has('--permission');
  const permission = known ? '--permission' : '--experimental-permission';

  it('where the permission model does not allow it', async () => {
    const flags = [permission, '--allow-fs-read=*', '--no-warnings'];
    await expectTold(tell(consumer.folder, flags), DISABLED, '--allow-addons');
  });

  it('where the permission model does not let it read what it needs', async () => {
    const own = ['dist/*', 'dist/bundle/*', 'package.json'].map((name) =>
      path.join(consumer.installed, name),
    );
    const allowed = own.map((name) => `--allow-fs-read=${name}`);
    const told = tell(consumer.folder, [permission, ...allowed, '--no-warnings']);
    await expectTold(told, 'Access to this API has been restricted', '--allow-fs-read');
  });

  it('where its glibc is newer than the one that is here', async () => {
    let newer = '';
    const folder = spoiled((binary) => {
      const version = neededVersions(binary, 'GLIBC').at(-1)!;
      newer = `GLIBC_${version.replaceAll(/\d/g, '9')}`;
      replaceInFile(binary, `\0GLIBC_${version}\0`, `\0${newer}\0`);
    });
    await expectTold(tell(folder), `version \`${newer}' not found`, BUILD);
  });

  it('where it is of another architecture', async () => {
    const folder = spoiled(setForeignMachine);
    await expectTold(tell(folder), path.join(folder, BINARY), 'of another architecture');
  });

  it('where it is cut short', async () => {
    const folder = spoiled((binary) => truncateSync(binary, 100));
    await expectTold(tell(folder), path.join(folder, BINARY), 'is damaged');
  });

  it('where it ends in the midst, which would be SIGBUS in the loader', async () => {
    const folder = spoiled((binary) => truncateSync(binary, Math.floor(statSync(binary).size / 2)));
    await expectTold(tell(folder), 'file too short', 'is damaged');
  });

  it('where a library is missing', async () => {
    const folder = spoiled((binary) => {
      replaceInFile(binary, '\0libm.so.6\0', '\0libm.so.0\0');
    });
    await expectTold(tell(folder), 'libm.so.0: cannot open', 'Install the library');
  });

  asRoot('where its file system is mounted noexec', async () => {
    const mount = 'mount -t tmpfs -o noexec none "$0" && cp -a "$1" "$0" && cd "$0"/* && shift';
    const target = path.join(path.dirname(consumer.folder), 'bin');
    const script = `${mount} && exec "$@"`;
    const prefix = ['unshare', '--mount', 'sh', '-c', script, target, consumer.folder];
    await expectTold(tell('/', [], prefix), 'failed to map segment', 'noexec');
  });
});

it('the doctor tells the reason too', async () => {
  const main = path.join(consumer.installed, 'dist', 'bundle', 'cli.js');
  const { status, stdout } = await consumer.run(['--no-addons', main, 'doctor', '--json']);
  expect(status).toBe(1);
  const { findings } = JSON.parse(stdout) as Report;
  expect(findings.find(({ id }) => id === 'kernel.addon')).toMatchObject({
    status: 'missing',
    why: expect.stringContaining('loading addons is disabled') as string,
    fix: expect.stringContaining('without --no-addons') as string,
  });
});
