/** The addon's binary, changed into what other machines would not load. */
import { readFileSync, writeFileSync } from 'node:fs';

/** Replaces a string by one that is as long. */
export function replaceInFile(file: string, from: string, to: string): void {
  const bytes = readFileSync(file);
  const at = bytes.indexOf(from);
  if (at === -1 || from.length !== to.length) throw new Error(`'${from}' is not in ${file}`);
  bytes.write(to, at, 'latin1');
  writeFileSync(file, bytes);
}

// elf.h: the offset of e_machine, and a machine that no Node.js runs on.
const E_MACHINE = 18;
const EM_SPARC = 2;

/** Makes it one for another architecture. */
export function setForeignMachine(file: string): void {
  const bytes = readFileSync(file);
  bytes.writeUInt16LE(EM_SPARC, E_MACHINE);
  writeFileSync(file, bytes);
}

/** Sorts versions such as 2.4 and 2.34. */
export const byVersion = new Intl.Collator('en', { numeric: true }).compare;

/** The versions of a library's symbols that it needs, e.g. of `GLIBC`, the newest last. */
export function neededVersions(file: string, library: string): string[] {
  const text = readFileSync(file).toString('latin1');
  const found = text.matchAll(new RegExp(`\\0${library}_(\\d+(?:\\.\\d+)+)(?=\\0)`, 'g'));
  return [...found].map(([, version]) => version!).sort(byVersion);
}
