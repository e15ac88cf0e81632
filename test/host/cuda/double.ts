/**
 * Builds the double of libcuda (libcuda.c tells what it is), and runs programs with it or
 * with the real one.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = ['libcuda.c', 'memory.c', 'ipc.c', 'stream.c', 'kernel.cc'].map((name) =>
  fileURLToPath(new URL(name, import.meta.url)),
);
const PROGRAMS = new URL('../children/', import.meta.url);

export interface Outcome {
  /** What the program's last expression printed as JSON. */
  result: unknown;
  status: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
  /** The calls that were made, in order; empty with the real library. */
  calls: string[];
}

export class CudaDouble implements Disposable {
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-cuda-'));
  readonly #log = path.join(this.#folder, 'log');
  readonly #program: string;

  /** @param program - in ../children */
  constructor(program = 'cuda.mjs') {
    this.#program = program;
    const library = path.join(this.#folder, 'libcuda.so.1');
    const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-fvisibility=hidden'];
    // The kernel reads bytes by words, as a GPU may.
    const more = ['-fno-strict-aliasing', '-pthread', '-o', library, ...SOURCES];
    try {
      execFileSync(process.env.CC ?? 'gcc', [...flags, ...more]);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** What has a program find the double, and no other library; its calls are added to those of others. */
  get environment(): { LD_LIBRARY_PATH: string; DOUBLE_LOG: string } {
    return { LD_LIBRARY_PATH: this.#folder, DOUBLE_LOG: this.#log };
  }

  /** The calls of programs since the last run(), in order. */
  get calls(): string[] {
    return existsSync(this.#log) ? readFileSync(this.#log, 'utf8').trimEnd().split('\n') : [];
  }

  /**
   * Runs a scenario of the program.
   *
   * @param settings - DOUBLE_* variables without that prefix
   * @param environment - the program's own variables
   */
  run(
    scenario: string,
    settings: Record<string, string> = {},
    environment: Record<string, string> = {},
  ): Outcome {
    rmSync(this.#log, { force: true });
    const names = Object.entries(settings).map(([name, value]) => [`DOUBLE_${name}`, value]);
    const env = {
      ...environment,
      ...this.environment,
      ...(Object.fromEntries(names) as Record<string, string>),
    };
    const outcome = runScenario(scenario, env, this.#program);
    return { ...outcome, calls: this.calls };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/** Runs a scenario with the libcuda.so.1 that this machine has. */
export function runScenario(
  scenario: string,
  env: Record<string, string> = {},
  program = 'cuda.mjs',
): Outcome {
  const { stdout, stderr, status, signal } = spawnSync(
    process.execPath,
    ['--expose-gc', fileURLToPath(new URL(program, PROGRAMS)), scenario],
    { encoding: 'utf8', env: { ...process.env, ...env }, timeout: 50_000 },
  );
  const result: unknown = stdout === '' ? undefined : JSON.parse(stdout);
  return { result, status, signal, stderr, calls: [] };
}
