/**
 * The one place that touches `socket._handle`, which is Node's own business: what
 * is relied on here is pinned by tests on every supported Node version.
 */
import type net from 'node:net';
import { Readable } from 'node:stream';

/** What libuv has behind a net.Socket: a TCP connection, or a Unix-domain socket. */
export type HandleKind = 'TCP' | 'Pipe';

interface StreamHandle {
  fd: number;
  reading: boolean;
  readStart(): number;
  readStop(): number;
}

/** The socket's descriptor, still owned by it; undefined where it is of another kind. */
export function descriptorOf(socket: net.Socket, kind: HandleKind): number | undefined {
  return handleOf(socket, kind)?.fd;
}

/**
 * Whether a socket is Node's HTTP's: its parser reads it, a client's request is on it, or an
 * Agent has it, for requests to come. 'upgrade' and 'connect' hand it over before they tell.
 */
export function isUsedByHttp(socket: net.Socket): boolean {
  const { parser, _httpMessage: message } = socket as { parser?: unknown; _httpMessage?: unknown };
  const isParsed = parser !== undefined && parser !== null;
  return isParsed || isRequest(message) || socket.listenerCount('agentRemove') > 0;
}

/** Where there is a message, HTTP is loaded; where there is none, it need not be. */
function isRequest(message: unknown): boolean {
  if (message === undefined || message === null) return false;
  return message instanceof process.getBuiltinModule('node:http').ClientRequest;
}

/**
 * Has libuv no longer read the socket until readOn(), whoever asks the stream for more: a
 * resume() that was under way, a listener, read(). If libuv had begun, the stream goes on
 * waiting afterwards for what libuv will not read any more.
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
  handle.readStart = () => 0;
  handle.reading = false;
  handle.readStop();
  return head ?? undefined;
}

/** Ends what stopReading() began: the stream has what it asked for meanwhile. */
export function readOn(socket: net.Socket, kind: HandleKind): void {
  const handle = handleOf(socket, kind);
  if (handle === undefined) return;
  Reflect.deleteProperty(handle, 'readStart');
  // As the stream sets it when it asks.
  if (handle.reading) handle.readStart();
}

/**
 * Takes a TCP connection's receiving side away from Node for good, amid any of its
 * events: neither the stream nor libuv reads on, whoever asks them to.
 *
 * Node itself asks again after a 'data' handler returned (the stream fills its buffer), at
 * resume(), and after 'connect'. And whatever calls the stream's read() at its end has Node
 * emit 'end', which ends the writing side.
 *
 * @returns bytes that Node had read before; undefined where there are none
 */
export function takeReading(socket: net.Socket): Buffer | undefined {
  // First: http2's stand-in for its socket refuses this, in words, and is left as it was.
  socket.read = () => null;
  const handle = handleOf(socket, 'TCP');
  if (handle !== undefined) {
    handle.readStart = () => 0;
    handle.readStop();
  }
  // Taking what is buffered would tell them of it.
  socket.removeAllListeners('data');
  const { readableLength } = socket;
  if (readableLength === 0) return undefined;
  // By its length, or this would be a read at the end.
  return Readable.prototype.read.call(socket, readableLength) as Buffer;
}

function handleOf(socket: net.Socket, kind: HandleKind): StreamHandle | undefined {
  const handle = (socket as unknown as { _handle?: Partial<StreamHandle> | null })._handle;
  // Not by the peer's address: a connection that was reset since has none, and its
  // error is for whoever reads.
  const isKind = handle?.constructor.name === kind;
  const usable = isKind && typeof handle.readStop === 'function' && (handle.fd ?? -1) >= 0;
  return usable ? (handle as StreamHandle) : undefined;
}
