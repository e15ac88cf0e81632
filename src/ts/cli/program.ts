/** How a program ends: its exit status, and what it says of a failure. */
import { isatty } from 'node:tty';

import { STATUS } from './command.js';
import { errorText } from './error-text.js';
import { endBy, Interrupted } from './interruption.js';
import { stderr, stdout } from './output.js';

const STANDARD = [0, 1, 2] as const;

/**
 * Runs a program and leaves its exit status to the process. What it throws becomes a line
 * on stderr; what interrupted it ends the process as if nobody had held it off.
 *
 * @param name - begins what is said on stderr
 * @param main - returns the exit status
 */
export async function runProgram(name: string, main: () => Promise<number>): Promise<void> {
  const terminals = STANDARD.filter((fd) => isatty(fd));
  let signal: NodeJS.Signals | undefined;
  const fail = (what: string): void => {
    stderr.write(`${name}: ${what}\n`);
    process.exitCode = STATUS.failed;
  };
  try {
    process.exitCode = await main();
  } catch (error) {
    if (error instanceof Interrupted) signal = error.by;
    else if (error !== stdout.lost.reason) fail(errorText(error));
  }
  await stdout.flush();
  if (stdout.lost.aborted) {
    const reason = stdout.lost.reason as NodeJS.ErrnoException;
    // Whoever read it has had enough, as of 'head'.
    if (reason.code === 'EPIPE') signal ??= 'SIGPIPE';
    else fail(`cannot write to standard output: ${reason.message}`);
  }
  // Node.js aborts where it cannot put a terminal back that was closed meanwhile.
  if (!terminals.every((fd) => isatty(fd))) signal ??= 'SIGHUP';
  if (signal !== undefined) endBy(signal);
}
