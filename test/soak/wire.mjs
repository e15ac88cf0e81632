// @ts-check
/** What both ends know: the bytes of each stream, and the ports. */
import { Pattern } from '../../dist/cli/transfer/pattern.js';

const SEED = 20260720;

export const pattern = new Pattern(SEED);

/** Where the peer listens for connections that the receiving side makes. */
export const PEER_PORT = 4000;
/** Where the child process and the worker thread receive. */
export const HELPER_PORTS = Object.freeze({ child: 4101, worker: 4102 });
/** Generation n listens on this + 2n, for `adopt` on one more. */
export const FIRST_SERVER_PORT = 5000;
export const FIRST_STREAM_PORT = 10_000;
export const LAST_STREAM_PORT = 59_999;

/**
 * For both ends of all connections. A reset that is lost, on its way or because the
 * link is down, is never sent again: only who asks learns that the other end is gone.
 */
export const KEEP_ALIVE = Object.freeze({ keepAlive: true, keepAliveInitialDelay: 5000 });

/**
 * Where in the pattern a stream starts: elsewhere for each, so that bytes of
 * another stream are noticed.
 * @param {number} port the stream's own: the end that connects chose it
 */
export function startOf(port) {
  return port * 104_729;
}

/**
 * The same for what the receiving side writes.
 * @param {number} port
 */
export function replyStartOf(port) {
  return startOf(port) + 1_234_577;
}
