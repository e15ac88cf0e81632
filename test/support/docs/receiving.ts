/** A program of the documents that receives what is sent to it. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { MAIN } from '../cli.js';
import { ROOT } from './blocks.js';
import type { DocumentsMachine } from './machine.js';

/** What the README's first program prints, as the README says below it. */
export const FIRST_PRINTS = `${/^It prints `(.+?)`/m.exec(readFileSync(path.join(ROOT, 'README.md'), 'utf8'))![1]!}\n`;

/** What the guide's server prints of a stream that is copied. */
export const SERVER_PRINTS = /^1048576 bytes, one behind the other, over copy\n/m;

/** Starts a program that listens on port 5201, and sends to it until it has printed the words. */
export async function expectReceives(
  machine: DocumentsMachine,
  command: string[],
  words: RegExp,
): Promise<void> {
  const [program, ...args] = [...machine.prefix, ...command];
  const receiver = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  const seen = new Promise<void>((resolve, reject) => {
    for (const stream of [receiver.stdout, receiver.stderr]) {
      stream.on('data', (piece) => {
        printed += String(piece);
        if (words.test(printed)) resolve();
      });
    }
    receiver.once('close', () => reject(new Error(`it ended: ${printed}`)));
  });
  const send = async (): Promise<void> => {
    const sender = [process.execPath, MAIN, 'send', '--connect', 'localhost', '--bytes', '1M'];
    // Until it listens.
    while (receiver.exitCode === null && (await machine.run(...sender)).status !== 0);
  };
  try {
    await Promise.all([seen, send()]);
  } finally {
    receiver.kill('SIGKILL');
  }
}
