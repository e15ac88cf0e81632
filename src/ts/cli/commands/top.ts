/** `devmem-tcp top`: what is bound and received on this machine, live. */
import { setTimeout as delay } from 'node:timers/promises';

import { type Command, parseOptions, STATUS, UsageError } from '../command.js';
import { Interruption } from '../interruption.js';
import { stdout } from '../output.js';
import { readKernel } from '../top/kernel.js';
import { askProcesses } from '../top/processes.js';
import { renderTop } from '../top/render.js';
import { Screen } from '../top/screen.js';
import { type TopView, Views } from '../top/view.js';
import { painter } from '../wrap.js';

const HELP = `Shows what is bound and received on this machine: bindings, connections with their
rates and stalls, rx queues and page pools.

  devmem-tcp top [--process PATH]… [--interval S] [--json]

  --process PATH  a process that called serveDiagnostics(): its socket, or a
                  folder of such. Repeatable; without it, what the kernel tells
  --interval S    seconds between looks, 0.2 to 3600 (default 1)
  --json          look twice, print what is seen as JSON, and end
  --help          this

On a terminal it goes on until q or Ctrl-C. Elsewhere it looks twice, prints the
table once, and ends: with exit status 1 where no process named by --process
answered. Needs no privilege, but for sockets of others.
`;

const DEFAULT_COLUMNS = 80;

export const command: Command = {
  summary: 'show bindings, queues, connections and their rates, live',
  help: HELP,
  async run(args) {
    const { values, positionals } = parseOptions(args, {
      process: { type: 'string', multiple: true, default: [] },
      interval: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
    });
    if (positionals.length > 0) throw new UsageError(`unexpected argument '${positionals[0]!}'`);
    if (values.process.includes('')) throw new UsageError('--process must be a path, not empty');
    const intervalMs = parseInterval(values.interval) * 1000;
    const look = lookAt(values.process);
    using interruption = new Interruption();
    if (!values.json && process.stdout.isTTY) {
      await showLive(look, intervalMs, interruption.signal);
      return STATUS.ok;
    }
    const view = await lookTwice(look, intervalMs, interruption.signal);
    if (view === undefined) return STATUS.ok;
    print(view, values.json);
    return values.process.length > 0 && view.processes.length === 0 ? STATUS.failed : STATUS.ok;
  },
};

// A snapshot is a tenth of a second old at most.
const LEAST_S = 0.2;
const MOST_S = 3600;

function parseInterval(text: string): number {
  const seconds = Number(text);
  if (text.trim() !== '' && seconds >= LEAST_S && seconds <= MOST_S) return seconds;
  throw new UsageError(`--interval must be ${LEAST_S} to ${MOST_S} seconds, not '${text}'`);
}

type Look = (signal: AbortSignal) => Promise<TopView>;

function lookAt(places: readonly string[]): Look {
  const views = new Views();
  return async (signal) => {
    const [kernel, answers] = await Promise.all([readKernel(), askProcesses(places, signal)]);
    return views.next(Date.now(), kernel, answers);
  };
}

/**
 * Rates take two looks.
 *
 * @returns undefined where it was interrupted
 */
async function lookTwice(
  look: Look,
  intervalMs: number,
  signal: AbortSignal,
): Promise<TopView | undefined> {
  await look(signal);
  if (!(await pause(intervalMs, signal))) return undefined;
  const view = await look(signal);
  return signal.aborted ? undefined : view;
}

function print(view: TopView, json: boolean): void {
  const columns = process.stdout.columns || DEFAULT_COLUMNS;
  const text = json
    ? JSON.stringify(view, undefined, 2)
    : renderTop(view, { columns, rows: Infinity }, painter(process.stdout)).join('\n');
  stdout.write(`${text}\n`);
}

async function showLive(look: Look, intervalMs: number, interrupted: AbortSignal): Promise<void> {
  const quitting = new AbortController();
  const quit = (): void => quitting.abort();
  interrupted.addEventListener('abort', quit);
  if (interrupted.aborted) quit();
  const paint = painter(process.stdout);
  let view: TopView | undefined;
  const draw = (): void => {
    if (view !== undefined) screen.draw(renderTop(view, screen, paint));
  };
  using screen = new Screen({ onQuit: quit, onResize: draw });
  do {
    view = await look(quitting.signal);
    if (!quitting.signal.aborted) draw();
  } while (await pause(intervalMs, quitting.signal));
  interrupted.removeEventListener('abort', quit);
}

/** @returns whether it came to its end */
async function pause(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(milliseconds, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
