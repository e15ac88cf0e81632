/** Builds the double of libcuda (see libcuda.c), and runs programs with it or with the real one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('libcuda.c', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../children/cuda.mjs', import.meta.url));

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

  constructor() {
    const library = path.join(this.#folder, 'libcuda.so.1');
    const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-fvisibility=hidden'];
    execFileSync(process.env.CC ?? 'gcc', [...flags, '-o', library, SOURCE]);
  }

  /**
   * Runs a scenario of children/cuda.mjs.
   *
   * @param settings - DOUBLE_* variables without that prefix
   */
  run(scenario: string, settings: Record<string, string> = {}): Outcome {
    const log = path.join(this.#folder, 'log');
    rmSync(log, { force: true });
    const names = Object.entries(settings).map(([name, value]) => [`DOUBLE_${name}`, value]);
    const outcome = runScenario(scenario, {
      LD_LIBRARY_PATH: this.#folder,
      DOUBLE_LOG: log,
      ...(Object.fromEntries(names) as Record<string, string>),
    });
    const calls = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : [];
    return { ...outcome, calls };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/** Runs a scenario with the libcuda.so.1 that this machine has. */
export function runScenario(scenario: string, env: Record<string, string> = {}): Outcome {
  const { stdout, stderr, status, signal } = spawnSync(
    process.execPath,
    ['--expose-gc', PROGRAM, scenario],
    { encoding: 'utf8', env: { ...process.env, ...env }, timeout: 50_000 },
  );
  const result: unknown = stdout === '' ? undefined : JSON.parse(stdout);
  return { result, status, signal, stderr, calls: [] };
}
