/** What ends a stream, and what its reader may see then. */

/** How often each comes, of any connection. */
export const ENDINGS = {
  'peer ends': 8,
  'peer resets': 2,
  close: 1.5,
  dispose: 0.5,
  destroy: 1,
  'destroy with an error': 1,
  abort: 1.5,
  return: 1.5,
  break: 1,
  throw: 0.5,
};

/** Of a server's connection, those too. */
export const SERVER_ENDINGS = {
  'handler returns': 1.5,
  'handler throws': 1,
  'server closes': 1,
};

export type Ending = keyof typeof ENDINGS | keyof typeof SERVER_ENDINGS;

/**
 * - `whole`: every byte, then the end.
 * - `cut`: the first bytes, then the end.
 * - `failed`: the first bytes, then one rejection, then the end.
 */
export type Outcome = 'whole' | 'cut' | 'failed';

export const OUTCOMES: Readonly<Record<Ending, Outcome>> = {
  'peer ends': 'whole',
  'peer resets': 'failed',
  close: 'cut',
  dispose: 'cut',
  destroy: 'cut',
  'destroy with an error': 'failed',
  abort: 'failed',
  return: 'cut',
  break: 'cut',
  throw: 'cut',
  'handler returns': 'cut',
  'handler throws': 'cut',
  'server closes': 'cut',
};

/**
 * Those that send what was written to the last byte, also where something is not read.
 * close() does not: the kernel resets such a connection, and the peer may lose what it has
 * not read yet.
 */
export const DRAINING: readonly Ending[] = [];
