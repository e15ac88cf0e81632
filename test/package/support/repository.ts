/** The working tree as a repository that can be cloned. */
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';

import { mustRun, ROOT } from './run.js';

/**
 * Commits the files of the working tree, as they are: those that git tracks, and new ones
 * that it does not ignore.
 *
 * @param folder - made for it
 */
export async function makeRepository(folder: string): Promise<void> {
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const files = (await mustRun('git', list, { cwd: ROOT })).split('\0');
  mkdirSync(folder);
  for (const file of files.filter((name) => name !== '' && existsSync(path.join(ROOT, name)))) {
    cpSync(path.join(ROOT, file), path.join(folder, file));
  }
  const git = (...args: string[]): Promise<string> => mustRun('git', args, { cwd: folder });
  const identity = ['-c', 'user.name=nobody', '-c', 'user.email=nobody@localhost'];
  await git('init', '--quiet');
  await git('add', '--all');
  await git(...identity, 'commit', '--quiet', '--message', 'all');
}
