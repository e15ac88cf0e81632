// @ts-check
/** The other end of every measurement (source.c), and how to ask it for something. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { compile } from '../lib/compile.mjs';

/** Builds it. @returns {string} its path */
export const compileSource = () => compile('source', ['bench/peer/source.c']);

/**
 * @typedef {object} Source
 * @property {string} host
 * @property {number} port
 * @property {() => Promise<void>} close
 */

/**
 * Starts it.
 * @param {string} program
 * @param {string} host to listen on
 * @param {readonly string[]} [prefix] a command that runs it where it is to be
 * @returns {Promise<Source>}
 */
export async function startSource(program, host, prefix = []) {
  const [command = program, ...args] = /** @type {string[]} */ ([...prefix, program, host]);
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = /** @type {[Buffer]} */ (await once(child.stdout, 'data'));
  return {
    host,
    port: Number(line),
    async close() {
      const exit = once(child, 'exit');
      child.stdin.end();
      await exit;
    },
  };
}

/**
 * What a client says first.
 * @param {number} bytes it wants; 0: an echo
 */
export function request(bytes) {
  const message = Buffer.alloc(8);
  message.writeBigUInt64LE(BigInt(bytes));
  return message;
}
