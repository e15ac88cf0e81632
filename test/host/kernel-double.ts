/** Programs that call a double of the kernel, a library of the test's own, in its place. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { expect } from 'vitest';

const LIMIT_MS = 50_000;

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

export class KernelDouble implements Disposable {
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-'));
  readonly #program: string;
  readonly #preloaded: string;

  /**
   * @param source - of the double, in this folder
   * @param program - in children
   */
  constructor(source: string, program: string) {
    this.#program = here(`children/${program}`);
    const library = path.join(this.#folder, 'kernel.so');
    // Behind those that have to come first, as sanitizers do.
    this.#preloaded = [process.env.LD_PRELOAD ?? '', library].join(' ').trim();
    try {
      execFileSync('cc', ['-shared', '-fPIC', '-o', library, here(source), '-ldl']);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** What a scenario of the program prints, which is to end well, and say nothing else. */
  async outcome(
    scenario: string,
    args: readonly number[] = [],
    env: Record<string, string> = {},
  ): Promise<unknown> {
    const command = ['--no-warnings', this.#program, scenario, ...args.map(String)];
    const child = spawn(process.execPath, command, {
      env: { ...process.env, ...env, LD_PRELOAD: this.#preloaded },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
    });
    const printed = Promise.all([text(child.stdout), text(child.stderr)]);
    const [status, signal] = (await once(child, 'close')) as unknown[];
    const [stdout, stderr] = await printed;
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
    return JSON.parse(stdout);
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}
