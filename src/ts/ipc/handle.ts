/**
 * The one place that touches `socket._handle`, which is Node's own business: what
 * is relied on here is pinned by tests on every supported Node version.
 */
import type net from 'node:net';

/** What libuv has behind a net.Socket: a TCP connection, or a Unix-domain socket. */
export type HandleKind = 'TCP' | 'Pipe';

interface StreamHandle {
  fd: number;
  reading: boolean;
  readStop(): number;
}

/** The socket's descriptor, still owned by it; undefined where it is of another kind. */
export function descriptorOf(socket: net.Socket, kind: HandleKind): number | undefined {
  return handleOf(socket, kind)?.fd;
}

/**
 * Has libuv no longer read the socket. Reading it as a stream starts that anew, if
 * libuv had not begun; otherwise the stream goes on waiting for what libuv will not
 * read any more.
 *
 * @returns bytes that Node had read before; undefined where there are none
 */
export function stopReading(socket: net.Socket, kind: HandleKind): Buffer | undefined {
  const handle = handleOf(socket, kind);
  if (handle === undefined) return undefined;
  socket.pause();
  // Asking for buffered bytes makes the stream ask libuv for more; so reading is
  // stopped after it, and nothing is asked for where nothing is buffered.
  const head = socket.readableLength > 0 ? (socket.read() as Buffer | null) : null;
  handle.reading = false;
  handle.readStop();
  return head ?? undefined;
}

function handleOf(socket: net.Socket, kind: HandleKind): StreamHandle | undefined {
  const handle = (socket as unknown as { _handle?: Partial<StreamHandle> | null })._handle;
  // Not by the peer's address: a connection that was reset since has none, and its
  // error is for whoever reads.
  const isKind = handle?.constructor.name === kind;
  const usable = isKind && typeof handle.readStop === 'function' && (handle.fd ?? -1) >= 0;
  return usable ? (handle as StreamHandle) : undefined;
}
