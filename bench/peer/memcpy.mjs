// @ts-check
/** memcpy of scattered pieces by a program in C (memcpy.c), from a memory of this process's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { compile } from '../lib/compile.mjs';

/** @typedef {import('../../dist/index.js').DmaBuf} DmaBuf */
/** @typedef {import('../../dist/index.js').Run} Run */

/** Builds it. @returns {string} its path */
export const compileMemcpy = () => compile('memcpy', ['bench/peer/memcpy.c']);

/**
 * Starts it.
 * @param {string} program
 * @param {DmaBuf} memory
 * @param {number} bytes of all runs at most
 * @param {{ cold?: boolean }} [options] `cold`: runs are not copied before it counts
 */
export function startMemcpy(program, memory, bytes, { cold = false } = {}) {
  const options = [...(memory.isDmaBuf ? ['sync'] : []), ...(cold ? ['cold'] : [])];
  const args = [memory.size, bytes, ...options];
  const child = spawn(program, args.map(String), {
    stdio: ['pipe', 'pipe', 'inherit', memory.fd],
  });
  const stdin = /** @type {import('node:stream').Writable} */ (child.stdin);
  const stdout = /** @type {import('node:stream').Readable} */ (child.stdout);
  return {
    /**
     * @param {readonly Run[]} runs all in the memory
     * @returns {Promise<number>} nanoseconds that copying them took
     */
    async copy(runs) {
      const question = BigUint64Array.from([
        BigInt(runs.length),
        ...runs.flatMap(({ offset, size }) => [BigInt(offset ?? 0), BigInt(size)]),
      ]);
      stdin.write(new Uint8Array(question.buffer));
      const [line] = /** @type {[Buffer]} */ (await once(stdout, 'data'));
      return Number(line);
    },
    async close() {
      const exit = once(child, 'exit');
      stdin.end();
      await exit;
    },
  };
}
