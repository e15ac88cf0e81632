/** Asking processes for their snapshots. */
import { setMaxListeners } from 'node:events';
import { lstat, readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';

import type { DiagnosticsSnapshot } from '../../diagnostics/snapshot.js';
import { errorText } from '../error-text.js';
import { parseSnapshot } from './parse-snapshot.js';

/** A process's answer, or why there is none. */
export interface ProcessAnswer {
  /** Its socket's. */
  path: string;
  snapshot?: DiagnosticsSnapshot;
  problem?: string;
}

// However many a folder has.
const MOST_SOCKETS = 64;
const PATIENCE_MS = 2000;
// A snapshot has 500 connections of some 500 bytes each.
const MOST_BYTES = 4 * 2 ** 20;

/**
 * Asks all of them at once. Never rejects, and waits two seconds at most.
 *
 * @param places - sockets, and folders of sockets, in which those of dead processes are skipped
 * @param signal - waits no longer; what is returned then makes no sense
 */
export async function askProcesses(
  places: readonly string[],
  signal: AbortSignal,
): Promise<ProcessAnswer[]> {
  // Each socket that is asked listens, and there may be many.
  setMaxListeners(0, signal);
  return (await Promise.all(places.map((place) => askPlace(place, signal)))).flat();
}

async function askPlace(place: string, signal: AbortSignal): Promise<ProcessAnswer[]> {
  try {
    if (!(await lstat(place)).isDirectory()) return [withoutDeath(await ask(place, signal))];
    const entries = await readdir(place, { withFileTypes: true });
    const sockets = entries.filter((entry) => entry.isSocket()).map(({ name }) => name);
    const asked = sockets
      .sort()
      .slice(0, MOST_SOCKETS)
      .map((name) => ask(path.join(place, name), signal));
    const more = sockets.length - asked.length;
    const answers = (await Promise.all(asked)).filter((answer) => !answer.dead);
    const rest = more > 0 ? [{ path: place, problem: `${more} more sockets are not asked` }] : [];
    return [...answers.map(withoutDeath), ...rest];
  } catch (error) {
    return [{ path: place, problem: errorText(error) }];
  }
}

interface Asked extends ProcessAnswer {
  /** Nobody listens there. */
  dead?: boolean;
}

function withoutDeath({ path: place, snapshot, problem }: Asked): ProcessAnswer {
  return {
    path: place,
    ...(snapshot !== undefined && { snapshot }),
    ...(problem !== undefined && { problem }),
  };
}

async function ask(place: string, signal: AbortSignal): Promise<Asked> {
  const socket = connect({ path: place, signal });
  const impatience = setTimeout(() => {
    socket.destroy(new Error(`it did not answer within ${PATIENCE_MS / 1000} s`));
  }, PATIENCE_MS);
  try {
    let text = '';
    socket.setEncoding('utf8');
    for await (const piece of socket as AsyncIterable<string>) {
      text += piece;
      if (text.length > MOST_BYTES) throw new Error('what it answers is too long');
    }
    return { path: place, snapshot: parseSnapshot(text) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { path: place, problem: errorText(error), dead: code === 'ECONNREFUSED' };
  } finally {
    clearTimeout(impatience);
    socket.destroy();
  }
}
