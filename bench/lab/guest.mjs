// @ts-check
/** Running a program of this folder in the lab's guest. */
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { runInLab } from '../../kernel/lab/run.mjs';
import { parseJson } from '../lib/json.mjs';

/**
 * Runs a script of Node.js in a guest of its own and returns the JSON that it prints.
 *
 * @param {string} name of the script, in this folder
 * @param {readonly string[]} args
 * @param {Partial<import('../../kernel/lab/run.mjs').RunOptions>} [options] of the lab
 * @returns {Promise<unknown>}
 */
export async function runInGuest(name, args, options = {}) {
  const script = fileURLToPath(new URL(name, import.meta.url));
  const stdout = new PassThrough();
  const output = text(stdout);
  const command = [process.execPath, '--expose-gc', script, ...args];
  const { status } = await runInLab({ timeoutSeconds: 900, ...options, command, stdout });
  stdout.end();
  if (status !== 0) throw new Error(`${name} failed in the guest with status ${status}`);
  return parseJson(await output);
}
