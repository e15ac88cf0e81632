/**
 * Turns at a socket: messages of one socket go, and come, one after the other, whoever
 * sends or reads them.
 */
import net from 'node:net';

import { checkAbortSignal, unlessAborted } from '../abort.js';

type Turns = WeakMap<net.Socket, Promise<unknown>>;

const sending: Turns = new WeakMap();
const receiving: Turns = new WeakMap();

export interface TurnOptions {
  /** Gives up waiting for the turn when aborted. */
  signal?: AbortSignal | undefined;
}

/** Runs the task once all that was to be sent before it is. */
export function inSendingTurn<T>(
  socket: net.Socket,
  options: TurnOptions,
  task: () => Promise<T>,
): Promise<T> {
  return inTurn(sending, socket, options, task);
}

/** Runs the task once all that was to read before it has. */
export function inReceivingTurn<T>(
  socket: net.Socket,
  options: TurnOptions,
  task: () => Promise<T>,
): Promise<T> {
  return inTurn(receiving, socket, options, task);
}

async function inTurn<T>(
  turns: Turns,
  socket: net.Socket,
  { signal }: TurnOptions,
  task: () => Promise<T>,
): Promise<T> {
  if (signal !== undefined) checkAbortSignal('options.signal', signal);
  // What is no socket is the task's to refuse.
  if (!(socket instanceof net.Socket)) return task();
  const before = turns.get(socket) ?? Promise.resolve();
  const mine = unlessAborted(signal, before).then(task);
  // Whoever gives up lets nobody overtake the others.
  turns.set(socket, Promise.allSettled([before, mine]));
  return mine;
}
