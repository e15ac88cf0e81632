// @ts-check
/** A process that takes tasks as lines of JSON, and answers each with one. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { parseJson } from './json.mjs';

export class Worker {
  #child;
  #answers;

  /**
   * @param {string} script of Node.js
   * @param {readonly (string | number)[]} args
   */
  constructor(script, args) {
    this.#child = spawn(process.execPath, ['--expose-gc', script, ...args.map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** The process's number. */
  get pid() {
    return this.#child.pid ?? 0;
  }

  /**
   * @param {unknown} task
   * @returns {Promise<unknown>}
   */
  async ask(task) {
    this.#child.stdin.write(`${JSON.stringify(task)}\n`);
    const { done, value } = await this.#answers.next();
    if (done === true) throw new Error(`${this.#child.spawnargs.join(' ')} ended early`);
    return parseJson(value);
  }

  /** Lets it end. */
  async close() {
    const exit = once(this.#child, 'exit');
    this.#child.stdin.end();
    await exit;
  }
}
