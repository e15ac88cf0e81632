/** The C programs of this folder, which use the kernel's token queues by themselves. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = fileURLToPath(new URL('.', import.meta.url));
const FLAGS = ['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-pthread'];

/** Compiles programs; where each is, by name. */
export function compilePrograms<Name extends string>(
  ...names: readonly Name[]
): Readonly<Record<Name, string>> {
  const folder = mkdtempSync(path.join(tmpdir(), 'queue-'));
  const compiled = names.map((name) => {
    const program = path.join(folder, name);
    execFileSync('cc', [...FLAGS, path.join(SOURCES, `${name}.c`), '-o', program]);
    return [name, program];
  });
  return Object.fromEntries(compiled) as Record<Name, string>;
}
