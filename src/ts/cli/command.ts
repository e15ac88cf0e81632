/** What a command of `devmem-tcp` is, and how it reads its arguments. */
import { parseArgs, type ParseArgsConfig } from 'node:util';

import { suggestion } from './suggest.js';

/** Exit statuses of every command. */
export const STATUS = { ok: 0, failed: 1, usage: 64 } as const;

export interface Command {
  /** One line, for the list of commands. */
  summary: string;
  /** What `--help` prints. */
  help: string;
  /**
   * @param args - what follows the command's name
   * @returns the exit status
   * @throws UsageError for arguments that make no sense; any other error becomes
   *   one line on stderr and exit status 1
   */
  run(args: readonly string[]): Promise<number>;
}

/** Arguments that make no sense: the message is shown with a pointer to `--help`. */
export class UsageError extends Error {}

type Options = NonNullable<ParseArgsConfig['options']>;
type Parsed<T extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T; allowPositionals: true; strict: true }>
>;

/**
 * `util.parseArgs`, its complaints as usage errors.
 *
 * @throws UsageError
 */
export function parseOptions<const T extends Options>(
  args: readonly string[],
  options: T,
): Parsed<T> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(complaint(error, Object.keys(options)));
  }
}

/** What parseArgs says, without its advice on arguments that no command takes. */
function complaint(error: unknown, options: readonly string[]): string {
  const message = error instanceof Error ? error.message : String(error);
  const unknown = /^Unknown option '(-[^']*)'/.exec(message)?.[1];
  if (unknown === undefined) return message;
  const known = options.map((name) => `--${name}`);
  return `unknown option '${unknown}'${suggestion(unknown, known)}`;
}
