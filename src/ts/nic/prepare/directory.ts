/** The folder that journals and locks lie in. */
import { lstatSync, mkdirSync } from 'node:fs';

import { DevmemError } from '../../errors.js';

/** The environment variable that names another one. */
export const DIRECTORY_VARIABLE = 'DEVMEM_TCP_RUNTIME_DIR';

const OTHERS_MAY_WRITE = 0o022;

/** Where the folder is to be, by argument, environment and user. */
export function runtimeDirectory(given: string | undefined): string {
  const chosen = given ?? process.env[DIRECTORY_VARIABLE];
  if (chosen !== undefined && chosen !== '') return chosen;
  if (process.geteuid?.() === 0) return '/run/devmem-tcp';
  const runtime = process.env.XDG_RUNTIME_DIR;
  if (runtime !== undefined && runtime !== '') return `${runtime}/devmem-tcp`;
  throw new DevmemError(
    'ERR_DEVMEM_JOURNAL',
    `There is no folder for the journal: this user is not root and has no XDG_RUNTIME_DIR. Name one that only this user can write to, as options.runtimeDirectory or ${DIRECTORY_VARIABLE}`,
  );
}

/**
 * Makes the folder where it is not there. What lies in it is done to interfaces with
 * privilege, so nobody else may have written it.
 *
 * @throws DevmemError ERR_DEVMEM_JOURNAL where it cannot be made, or others can write to it
 */
export function openDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700, recursive: true });
  } catch (cause) {
    throw journalError(`${path} cannot be made: ${(cause as Error).message}`, cause);
  }
  const { uid, mode } = lstatSync(path);
  const folder = (mode & 0o170000) === 0o040000;
  if (folder && uid === process.geteuid?.() && (mode & OTHERS_MAY_WRITE) === 0) return;
  throw journalError(`${path} must be a folder that only this user can write to, and is not`);
}

function journalError(what: string, cause?: unknown): DevmemError {
  const remedy = `Mend it, or name another as options.runtimeDirectory or ${DIRECTORY_VARIABLE}`;
  return new DevmemError('ERR_DEVMEM_JOURNAL', `${what}. ${remedy}`, { cause });
}
