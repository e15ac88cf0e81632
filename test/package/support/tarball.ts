/** The package as `npm pack` makes it. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { mustRun, npm, ROOT } from './run.js';

const NOT_STAGED = new Set(['.git', 'build', 'node_modules']);

export function temporaryFolder(): string {
  return mkdtempSync(path.join(tmpdir(), 'devmem-tcp-package-'));
}

/**
 * Packs a copy of the working tree, as packing puts a file into it for a moment.
 *
 * @param target - folder for the tarball
 * @returns the tarball's path
 */
export async function packProject(target: string): Promise<string> {
  await mustRun(process.execPath, [path.join(ROOT, 'scripts', 'prebuild.mjs')], { cwd: ROOT });
  const stage = temporaryFolder();
  try {
    for (const name of readdirSync(ROOT).filter((each) => !NOT_STAGED.has(each))) {
      cpSync(path.join(ROOT, name), path.join(stage, name), { recursive: true });
    }
    return await pack(stage, target, []);
  } finally {
    rmSync(stage, { recursive: true });
  }
}

/** Packs what the package depends on, from node_modules: no registry is needed. */
export function packDependencies(target: string): Promise<string[]> {
  const { dependencies } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const folders = Object.keys(dependencies).map((name) => path.join(ROOT, 'node_modules', name));
  return Promise.all(folders.map((folder) => pack(folder, target, ['--ignore-scripts'])));
}

async function pack(folder: string, target: string, options: string[]): Promise<string> {
  const printed = await npm(['pack', '--pack-destination', target, ...options], { cwd: folder });
  const name = printed.trim().split('\n').at(-1);
  if (name === undefined) throw new Error(`npm pack named no file:\n${printed}`);
  return path.join(target, name);
}
