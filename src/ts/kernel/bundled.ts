/** The kernel's side as it lies in this package: patches, and the software NIC. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { packageFile } from '../package-files.js';

const KERNEL = packageFile('kernel');

/** The software NIC's source. */
export const DEVMEMSIM = path.join(KERNEL, 'devmemsim');

export interface Patch {
  /** The file's name, such as `0001-tcp-….patch`; they apply in the order of their names. */
  file: string;
  /** Its first line, as `git log --oneline` would show it. */
  subject: string;
}

export interface BundledSeries {
  folder: string;
  /** Without the cover letter, 0000, which tells what each is for. */
  patches: Patch[];
}

/**
 * @param name - a folder of kernel/patches
 * @throws SystemError where the package is not whole
 */
export function bundledSeries(name: string): BundledSeries {
  const folder = path.join(KERNEL, 'patches', name);
  const files = readdirSync(folder)
    .filter((file) => /^(?!0000)\d{4}-.*\.patch$/.test(file))
    .sort();
  const patches = files.map((file) => ({ file, subject: subjectOf(path.join(folder, file)) }));
  return { folder, patches };
}

/** A long subject goes on in lines that begin with a space (RFC 5322). */
function subjectOf(file: string): string {
  const text = readFileSync(file, 'utf8');
  const [, subject = ''] = /^Subject: (?:\[[^\]]*\] )?(.*(?:\n .*)*)/m.exec(text) ?? [];
  return subject.replaceAll(/\n +/g, ' ');
}
