// @ts-check
/** What will happen in a stream, decided before it begins. */
import { FIRST_STREAM_PORT, LAST_STREAM_PORT } from './wire.mjs';

const KiB = 1024;
const MiB = 1024 * KiB;

// A stream takes seconds, not minutes, however large it is: who looks for streams that
// do not end has to tell those from slow ones.
const MOST_PIECES = 20_000;
const MOST_PAUSES = 20;

// Longer than a link is down, with what TCP waits after that.
const PATIENT_MS = 20_000;

/**
 * What the sending end does.
 * @typedef {object} PeerPlan
 * @property {'end' | 'reset' | 'destroy' | 'silent' | 'deaf'} kind deaf: reads nothing of
 *   what is written to it, and goes in the end
 * @property {number} bytes to send before that
 * @property {number} piece bytes per write
 * @property {number} pauseEvery bytes between pauses; 0: none
 * @property {number} pauseMs
 * @property {number} waitMs before it ends or aborts the connection
 * @property {boolean} slowReader whether it reads what is written to it with pauses
 */

/**
 * How the receiving end leaves, if not at the end of the stream.
 * @typedef {object} LeavePlan
 * @property {'end' | 'break' | 'throw' | 'return' | 'close' | 'destroy' | 'destroyError' | 'abort' | 'neverRead'} kind
 * @property {number} at bytes received; unused where `afterMs` is not 0
 * @property {number} afterMs time since the stream began
 */

/**
 * @typedef {object} HoldPlan
 * @property {number} probability of holding a lease
 * @property {number} maxMs
 * @property {boolean} piecemeal batches are released fragment by fragment, in any order
 */

/**
 * @typedef {object} StreamPlan
 * @property {number} id
 * @property {number} port of the end that connects
 * @property {'IPv4' | 'IPv6'} family
 * @property {'server' | 'adopt' | 'connect'} entry how the receiving side comes by its socket
 * @property {PeerPlan} peer
 * @property {'batches' | 'fragments' | 'apart' | 'together' | 'mixed'} mode apart: the
 *   fragments of batches; together: fragments, some asked for at the same time; mixed: batches
 *   and fragments by turns, from several iterators, with low-water marks
 * @property {number} delayEvery bytes between the consumer's pauses; 0: none
 * @property {number} delayMs
 * @property {HoldPlan} hold
 * @property {LeavePlan} leave
 * @property {number} replyBytes that the receiving side writes
 * @property {number} replyPiece bytes per write
 * @property {number} closeTimeoutMs how long close() of an adopted or connected socket waits
 * @property {boolean} endFirst the receiving side ends its own direction as soon as it has written
 * @property {number} seed for what is decided on the way
 */

/**
 * @param {import('./random.mjs').Random} root
 * @param {number} id
 * @returns {StreamPlan}
 */
export function planStream(root, id) {
  const random = root.fork(`stream ${id}`);
  const mode = random.weighted({ batches: 5, fragments: 2, apart: 1, together: 1, mixed: 3 });
  const bytes = streamBytes(random, mode === 'batches' ? 24 * MiB : 4 * MiB);
  const entry = random.weighted({ server: 6, adopt: 2, connect: 2 });
  const peer = planPeer(random, bytes);
  const deaf = peer.kind === 'deaf';
  return {
    id,
    port: FIRST_STREAM_PORT + (id % (LAST_STREAM_PORT - FIRST_STREAM_PORT + 1)),
    family: random.pick(['IPv4', 'IPv6']),
    entry,
    peer,
    mode,
    ...planDelays(random, bytes),
    hold: planHold(random),
    leave: deaf ? planClose(random, bytes) : planLeave(random, entry, bytes),
    replyBytes: planReply(random, deaf),
    replyPiece: random.magnitude(1 * KiB, 128 * KiB),
    closeTimeoutMs: deaf ? random.magnitude(1, 2000) : PATIENT_MS,
    endFirst: random.chance(0.3),
    seed: random.int(0, 0xffffffff),
  };
}

/**
 * @param {import('./random.mjs').Random} random
 * @param {number} most
 */
function streamBytes(random, most) {
  switch (random.weighted({ none: 6, tiny: 12, small: 25, medium: 42, large: 15 })) {
    case 'none':
      return 0;
    case 'tiny':
      return random.int(1, 100);
    case 'small':
      return random.magnitude(100, 64 * KiB);
    case 'medium':
      return random.magnitude(64 * KiB, 2 * MiB);
    case 'large':
      return random.magnitude(2 * MiB, most);
  }
}

/**
 * @param {import('./random.mjs').Random} random
 * @param {number} bytes
 * @returns {PeerPlan}
 */
function planPeer(random, bytes) {
  const kind = random.weighted({ end: 80, reset: 9, destroy: 5, silent: 6, deaf: 4 });
  const cut = kind === 'reset' || kind === 'destroy';
  const pauses = random.chance(0.3);
  return {
    kind,
    bytes: kind === 'silent' ? 0 : cut ? random.int(0, bytes) : bytes,
    piece: Math.max(random.magnitude(100, 512 * KiB), Math.ceil(bytes / MOST_PIECES)),
    pauseEvery: pauses ? Math.max(Math.ceil(bytes / random.int(1, MOST_PAUSES)), 1000) : 0,
    pauseMs: random.magnitude(1, 400),
    waitMs: planWait(random, kind),
    slowReader: random.chance(0.2),
  };
}

/**
 * @param {import('./random.mjs').Random} random
 * @param {PeerPlan['kind']} kind
 */
function planWait(random, kind) {
  if (kind === 'silent' || kind === 'deaf') return random.magnitude(50, 8000);
  return kind === 'end' ? 0 : random.int(0, 100);
}

/**
 * More than the kernel takes, where nobody reads it.
 * @param {import('./random.mjs').Random} random
 * @param {boolean} deaf
 */
function planReply(random, deaf) {
  if (deaf) return 16 * MiB;
  return random.chance(0.35) ? random.magnitude(1, 2 * MiB) : 0;
}

/**
 * @param {import('./random.mjs').Random} random
 * @param {number} bytes
 * @returns {LeavePlan}
 */
function planClose(random, bytes) {
  const afterMs = random.chance(0.5) ? random.magnitude(1, 4000) : 0;
  return { kind: 'close', at: random.int(0, bytes), afterMs };
}

/**
 * @param {import('./random.mjs').Random} random
 * @param {number} bytes
 */
function planDelays(random, bytes) {
  if (random.chance(0.6)) return { delayEvery: 0, delayMs: 0 };
  const every = random.magnitude(4 * KiB, MiB);
  return {
    delayEvery: Math.max(every, Math.ceil(bytes / MOST_PAUSES)),
    delayMs: random.magnitude(1, 250),
  };
}

/**
 * @param {import('./random.mjs').Random} random
 * @returns {HoldPlan}
 */
function planHold(random) {
  const piecemeal = random.chance(0.3);
  switch (random.weighted({ none: 40, some: 35, most: 20, all: 5 })) {
    case 'none':
      return { probability: 0, maxMs: 0, piecemeal };
    case 'some':
      return { probability: 0.2, maxMs: random.magnitude(1, 3000), piecemeal };
    case 'most':
      return { probability: 0.8, maxMs: random.magnitude(1, 1500), piecemeal };
    case 'all':
      return { probability: 1, maxMs: random.magnitude(100, 3000), piecemeal };
  }
}

/**
 * @param {import('./random.mjs').Random} random
 * @param {StreamPlan['entry']} entry
 * @param {number} bytes
 * @returns {LeavePlan}
 */
function planLeave(random, entry, bytes) {
  const kind = random.weighted({
    end: 72,
    break: 4,
    throw: 4,
    return: 4,
    close: 4,
    destroy: 4,
    destroyError: 3,
    // A server's sockets have no signal of their own.
    abort: entry === 'server' ? 0 : 8,
    neverRead: 2,
  });
  const timed = ['close', 'destroy', 'destroyError'].includes(kind) && random.chance(0.5);
  const late = timed || kind === 'abort' || kind === 'neverRead';
  return { kind, at: random.int(0, bytes), afterMs: late ? random.magnitude(1, 4000) : 0 };
}

/**
 * A stream for the child process or the worker thread: sent to its end.
 * @param {import('./random.mjs').Random} root
 * @param {number} id
 * @returns {StreamPlan}
 */
export function planHelperStream(root, id) {
  const plan = planStream(root, id);
  const random = root.fork(`helper stream ${id}`);
  const peer = planPeer(random, random.magnitude(1000, 8 * MiB));
  return {
    ...plan,
    entry: 'server',
    peer: { ...peer, kind: 'end', bytes: peer.bytes, waitMs: 0 },
    replyBytes: 0,
  };
}
