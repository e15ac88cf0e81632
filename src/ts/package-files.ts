/** Where this package's own files lie. */
import { fileURLToPath } from 'node:url';

/** @param name - from the package's folder on, such as `kernel/devmemsim` */
export function packageFile(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
}

/** The program of the command line, as it ships. */
export const CLI = 'dist/bundle/cli.js';
