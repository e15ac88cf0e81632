// @ts-check
/** Programs in C and C++ that are measured, or measure: built anew each time. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = path.join(root, 'build', 'bench');

/**
 * Compiles sources into one program (or, by its name, a shared object).
 *
 * @param {string} name of the program
 * @param {readonly string[]} sources relative to the repository; the first says which compiler
 * @param {readonly string[]} [flags]
 * @returns {string} its path
 */
export function compile(name, sources, flags = []) {
  const program = path.join(folder, name);
  mkdirSync(folder, { recursive: true });
  const [compiler, standard] = sources[0]?.endsWith('.cc')
    ? [process.env.CXX ?? 'c++', '-std=c++20']
    : [process.env.CC ?? 'cc', '-std=gnu11'];
  const shared = name.endsWith('.so') ? ['-shared', '-fPIC'] : [];
  const common = [standard, '-O2', '-Wall', '-Wextra', '-Werror'];
  execFileSync(compiler, [...common, ...shared, ...flags, ...sources, '-o', program], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return program;
}
