/** The binaries: what they need of a machine, and that they load on one. */
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { faultsOf, OLDEST_GLIBC } from '../../scripts/prebuild/inspect.mjs';
import { hostTarget, prebuildOf, type Target, TARGETS } from '../../scripts/prebuild/targets.mjs';
import { Consumer } from './support/consumer.js';
import { byVersion, neededVersions, replaceInFile } from './support/elf.js';
import { emulatedNode } from './support/emulation.js';
import { ROOT, run } from './support/run.js';
import { temporaryFolder } from './support/tarball.js';

const HOST = hostTarget()!;

let consumer: Consumer;
let folder: string;

beforeAll(async () => {
  consumer = await Consumer.create();
  folder = temporaryFolder();
});

afterAll(() => {
  consumer[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

const fileOf = (target: Target): string => path.join(ROOT, prebuildOf(target));

const notBuilt = (target: Target): string =>
  `no ${prebuildOf(target)}: 'npm run prebuild -- --target ${target.name}' enables this`;

describe.each(TARGETS)('the binary for $name', (target) => {
  it('needs its C library alone, and keeps its symbols to itself', async (context) => {
    // For this machine it was made just now.
    if (target !== HOST && !existsSync(fileOf(target))) return context.skip(notBuilt(target));
    expect(await faultsOf(fileOf(target), target)).toEqual([]);
  });
});

describe('what makes a binary unfit is seen:', () => {
  async function spoiled(spoil: (binary: string) => void): Promise<string[]> {
    const binary = path.join(folder, 'spoiled.node');
    copyFileSync(fileOf(HOST), binary);
    spoil(binary);
    return faultsOf(binary, HOST);
  }

  it('a glibc that is too new', async () => {
    const faults = await spoiled((binary) => {
      const version = neededVersions(binary, 'GLIBC').at(-1)!;
      replaceInFile(binary, `\0GLIBC_${version}\0`, `\0GLIBC_9.99\0`);
    });
    expect(faults).toEqual([`needs glibc 9.99, above ${OLDEST_GLIBC}`]);
  });

  it('a library that a machine may lack', async () => {
    const faults = await spoiled((binary) => {
      replaceInFile(binary, '\0libm.so.6\0', '\0libz.so.1\0');
    });
    expect(faults).toContain('needs libz.so.1');
  });

  it('an entry that Node.js does not find', async () => {
    const faults = await spoiled((binary) => {
      replaceInFile(binary, '\0napi_register_module_v1\0', '\0napi_register_module_v0\0');
    });
    expect(faults).toEqual([
      'shows napi_register_module_v0 to the whole process',
      'has no napi_register_module_v1',
    ]);
  });
});

it('the oldest glibc is the one that the README promises', () => {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  expect(/glibc (\d[\d.]*\d)/.exec(readme)?.[1]).toBe(OLDEST_GLIBC);
  const newest = neededVersions(fileOf(HOST), 'GLIBC').at(-1)!;
  expect([newest, OLDEST_GLIBC].sort(byVersion).at(-1)).toBe(OLDEST_GLIBC);
});

const foreign = TARGETS.filter(({ arch, libc }) => arch !== process.arch && libc === 'glibc');
describe.each(foreign)('emulated, $name', (target) => {
  it('receives a stream over the copy transport', async (context) => {
    if (!existsSync(fileOf(target))) return context.skip(notBuilt(target));
    const node = await emulatedNode(target);
    if ('reason' in node) return context.skip(node.reason);
    const [qemu, ...args] = node.command;
    const { status, stdout, stderr } = await run(qemu, [...args, 'receive.mjs'], {
      cwd: consumer.folder,
      env: { ...consumer.environment, PREBUILDS_ONLY: '1' },
    });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({ transport: 'copy', bytes: 8 * 2 ** 20, whole: true });
    expect(status).toBe(0);
  });
});
