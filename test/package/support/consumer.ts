/** A project that has the package installed. */
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { npm, type Outcome, run } from './run.js';
import { packDependencies, packProject, temporaryFolder } from './tarball.js';

const PROGRAMS = fileURLToPath(new URL('../programs', import.meta.url));

export class Consumer implements Disposable {
  /** Where this package was packed. */
  readonly tarball: string;
  /** The consumer's own folder; programs/ is copied into it. */
  readonly folder: string;
  /** Tarballs of what the package depends on. */
  readonly dependencies: readonly string[];
  readonly #base: string;

  private constructor(base: string, tarball: string, dependencies: readonly string[]) {
    this.#base = base;
    this.tarball = tarball;
    this.dependencies = dependencies;
    this.folder = path.join(base, 'consumer');
  }

  /** Packs and installs: without a registry, without install scripts, without a compiler. */
  static async create(): Promise<Consumer> {
    const base = temporaryFolder();
    try {
      const tarball = await packProject(base);
      const consumer = new Consumer(base, tarball, await packDependencies(base));
      await consumer.#install();
      return consumer;
    } catch (error) {
      rmSync(base, { recursive: true });
      throw error;
    }
  }

  /** The package as it is installed. */
  get installed(): string {
    return path.join(this.folder, 'node_modules', 'devmem-tcp');
  }

  /** What the consumer's programs see: no compiler in PATH, nothing of the test runner's. */
  get environment(): NodeJS.ProcessEnv {
    return { PATH: path.join(this.#base, 'bin'), HOME: this.#base };
  }

  /** Runs a program of the consumer, with the prebuild only. */
  run(args: string[], node = process.execPath): Promise<Outcome> {
    const env = { ...this.environment, PREBUILDS_ONLY: '1' };
    return run(node, args, { cwd: this.folder, env });
  }

  [Symbol.dispose](): void {
    rmSync(this.#base, { recursive: true });
  }

  async #install(): Promise<void> {
    mkdirSync(path.join(this.#base, 'bin'));
    symlinkSync(process.execPath, path.join(this.#base, 'bin', 'node'));
    cpSync(PROGRAMS, this.folder, { recursive: true });
    const manifest = { name: 'consumer', private: true, type: 'module' };
    writeFileSync(path.join(this.folder, 'package.json'), JSON.stringify(manifest));
    const emptyCache = path.join(this.#base, 'npm-cache');
    await npm(
      ['install', '--offline', '--cache', emptyCache, '--ignore-scripts'].concat(
        this.tarball,
        this.dependencies,
      ),
      { cwd: this.folder, env: this.environment },
    );
  }
}
