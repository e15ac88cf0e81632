/**
 * Errors as Node's own: system errors carry `code`, a negative `errno` and the
 * `syscall`; misuse carries an `ERR_*` code. Messages of ours end with what to do, where
 * there is one thing to do.
 */
import { getSystemErrorMap, inspect, types } from 'node:util';

/** Codes of this package's own errors, each with what it means and its remedy. */
export const DEVMEM_ERRORS = {
  ERR_DEVMEM_UNSUPPORTED:
    'The addon cannot work here: not Linux, no binary for this platform, or one that cannot be loaded. The message (and unsupportedReason()) tells which, and what mends it.',
  ERR_DEVMEM_CLOSED: 'The object was closed before the call. Do not use it after close().',
  ERR_DEVMEM_CLOSE_TIMEOUT:
    "close() gave up: the peer took nothing more of what was written for `closeTimeout` milliseconds, and the connection was reset. Wait for 'finish' of `writable` before close(), or raise `closeTimeout`.",
  ERR_DEVMEM_RELEASED:
    'A fragment or batch was used after release(). Copy what is needed before releasing it.',
  ERR_DEVMEM_READER:
    'The stream belongs to a reader, or the reader no longer has it. Read through the reader, or call its releaseLock() first; after that, ask the socket for another one.',
  ERR_DEVMEM_UNEXPECTED_END:
    'The peer ended its stream before as many bytes came as were asked for: `bytesRead` of the error tells how many did. Ask for fewer, or take the stream for cut off.',
  ERR_DEVMEM_TOO_LONG:
    'What was to end within a limit did not: a delimiter, or a record whose header says that it is longer. Raise the limit, or take the peer for one that speaks another protocol.',
  ERR_DEVMEM_TOO_MUCH:
    'What is to be held at once is more than the memory can hold of this stream: it is all in use by bytes that wait. Ask for fewer bytes at once, use readInto(), or allocate more memory.',
  ERR_DEVMEM_LINEAR_FRAGMENT:
    'A batch holds linear bytes and forEach() got no handler for them. Pass a second callback, or iterate fragments and look at `kind`.',
  ERR_DEVMEM_MEMORY_TOO_SMALL:
    "The dma-buf is smaller than the receive rings it has to fill. Allocate more, bind fewer queues, or shrink the rings with 'ethtool -G'.",
  ERR_DEVMEM_MEMORY_IN_USE:
    'Another binding uses the memory, or fragments or sockets of an earlier one do. Close and release them, or allocate more memory.',
  ERR_DEVMEM_WRONG_MEMORY:
    'The memory is of a type, or a size, that this transport, or this interface, cannot receive into. Use a dma-buf for devmem, memory that the CPU can map for copying; for io_uring before Linux 7.3.3 no more than 4 GiB.',
  ERR_DEVMEM_NO_QUEUES:
    "`interface` or `queues` was left out of bindRx() in mode 'auto', which copies then: memory is bound to receive queues of an interface. Give both, or ask for mode 'copy'.",
  ERR_DEVMEM_NOT_MAPPABLE:
    'The CPU cannot see the memory: it is on a GPU, its exporter does not let it be mapped, or it is larger than an ArrayBuffer can be. Copy what is needed with read(), or use it on its device.',
  ERR_DEVMEM_CUDA:
    "CUDA is missing, or refused: `call`, `cudaError` and `hint` of the error say what and why. Install NVIDIA's driver with the open kernel modules, or use memory of another type.",
  ERR_DEVMEM_BAD_RECORD:
    "The kernel delivered a fragment outside the socket's memory, or a control message that makes no sense, and the connection was closed. Steer the connection to the queues of its own bindings, or give it the other binding too (a list, or addBinding()); if that is so, report it with the kernel version.",
  ERR_DEVMEM_UNBOUND:
    "The binding of a connection of the transport 'zcrx' was closed before the connection, whose data only the binding's ring could give. Close connections first.",
  ERR_DEVMEM_PLAN_BLOCKED:
    'An interface cannot be set up as it is; the message lists what is in the way. Mend that, or choose another interface or other queues.',
  ERR_DEVMEM_QUEUES_TAKEN:
    'Another preparation of the interface has some of the queues; the message names its process. Choose other queues, end that process, or restore with `devmem-tcp nic restore`.',
  ERR_DEVMEM_STEP_FAILED:
    'A step of setting an interface up failed (see `cause`), and what was done before was undone.',
  ERR_DEVMEM_STILL_BOUND:
    'An interface cannot be restored while memory is bound to its queues: close the binding first. Or, from `close()` of a binding: the kernel has no memory to give the queues buffers of their own, and they go on filling what was bound. Bind other memory to them, and close that binding.',
  ERR_DEVMEM_RESTORE_FAILED:
    'Some settings of an interface could not be put back; the message lists them, and the journal keeps them. Mend the cause and restore again.',
  ERR_DEVMEM_JOURNAL:
    'The journal of what was changed on an interface cannot be kept or read. Name a folder that only this user can write to.',
  ERR_DEVMEM_LOCKED:
    'Another process is changing the interface and does not finish. Wait for it, or end it.',
  ERR_DEVMEM_SOCKET_STATE:
    'A socket cannot be adopted as it is: connecting, destroyed, TLS, not TCP, decoding to text, or in use by HTTP. Adopt a connected plain TCP socket. Passing memory (sendFd, receiveFd, handOff) takes a connected Unix-domain socket that Node has not begun to read.',
  ERR_DEVMEM_BAD_MESSAGE:
    'The process at the other end of a Unix-domain socket sent something that makes no sense: malformed, oversized, or without its descriptor. Have it send what sendFd() documents, and acknowledge what it is handed (docs/hand-off.md).',
  ERR_DEVMEM_CONSUMER_LOST:
    'The process that data was handed to (handOff) closed the socket, or ended, without having acknowledged it. If it has ended, it uses the memory no more: release or reuse it, and hand the data to another process.',
  ERR_DEVMEM_BROKER_REFUSED:
    'The broker does not let this process have the binding. Ask who runs it to allow the user, the interface and its queues (options --allow-uid, --allow-gid, --allow), or to raise its limit of clients.',
  ERR_DEVMEM_BROKER_LOST:
    'The broker that held a binding is gone, and the binding with it: sockets receive linear data from then on. Start the broker and bind again.',
} as const;

/** The `code` of a DevmemError. */
export type DevmemErrorCode = keyof typeof DEVMEM_ERRORS;

/** Codes of Node.js's own that errors of this package carry for the same fault. */
export const NODE_ERRORS = {
  ERR_INVALID_ARG_TYPE: 'An argument is of a wrong type: the message names it. A TypeError.',
  ERR_INVALID_ARG_VALUE: 'An argument is of the right type, and makes no sense. A TypeError.',
  ERR_OUT_OF_RANGE: 'A number is outside the range that the message tells. A RangeError.',
  ERR_ILLEGAL_CONSTRUCTOR:
    'A class whose objects only this package makes was called with new. The message names the function that makes them. A TypeError.',
  ERR_SERVER_ALREADY_LISTEN: 'listen() was called on a server that listens, or is about to.',
  ERR_STREAM_DESTROYED:
    'The connection was destroyed before all was written. Wait for `finish` of `writable`, or end it by close().',
} as const;

/** The `code` of errors that Node.js has names for. */
export type NodeErrorCode = keyof typeof NODE_ERRORS;

/** Misuse of this package, or a state in which it cannot go on. */
export class DevmemError extends Error {
  /** Tells errors apart; what each means and its remedy is in `DEVMEM_ERRORS`. */
  readonly code: DevmemErrorCode;

  constructor(code: DevmemErrorCode, message: string, options?: ErrorOptions) {
    // An undefined one would be printed as such.
    super(message, options?.cause === undefined ? undefined : options);
    this.name = 'DevmemError';
    this.code = code;
  }
}

/** ERR_DEVMEM_UNEXPECTED_END. */
export class UnexpectedEndError extends DevmemError {
  /** Bytes that came of those asked for. */
  readonly bytesRead: number;

  /** @param wanted - bytes, or what they were to be */
  constructor(wanted: number | string, bytesRead: number) {
    const what = typeof wanted === 'number' ? `${bytesRead} of ${wanted} bytes` : wanted;
    super('ERR_DEVMEM_UNEXPECTED_END', `The stream ended after ${what}`);
    this.bytesRead = bytesRead;
  }
}

/** What a failed system call throws. Looks as Node's own system errors do. */
export interface SystemError extends Error {
  /** Name of the error, e.g. `'EPERM'`. */
  code: string;
  /** Negative number of the error, e.g. `-1`. */
  errno: number;
  /** What failed, e.g. `'recvmsg'` or `'netdev bind-rx'`. */
  syscall: string;
  /** The kernel's own explanation (netlink extended acknowledgement), where it gave one. */
  kernelMessage?: string;
  /** What mends it. */
  hint?: string;
}

// Kernel errors that reach user space although no libc names them (include/linux/errno.h),
// or that libuv has no name for.
const KERNEL_ONLY: ReadonlyMap<number, [string, string]> = new Map([
  [-53, ['EBADR', 'invalid request descriptor']],
  [-524, ['ENOTSUPP', 'operation is not supported']],
  [-525, ['ETOOSMALL', 'buffer or request is too small']],
]);

export interface SystemErrorDetails {
  /** Follows the system's description, e.g. the interface's name. */
  subject?: string | undefined;
  kernelMessage?: string | undefined;
  hint?: string | undefined;
  cause?: unknown;
}

/**
 * Makes the error for a failed system call.
 *
 * @param errno - negative error number
 */
export function systemError(
  errno: number,
  syscall: string,
  details: SystemErrorDetails = {},
): SystemError {
  const [code, description] = getSystemErrorMap().get(errno) ??
    KERNEL_ONLY.get(errno) ?? [`E${-errno}`, `unknown error ${-errno}`];
  let message = `${syscall} ${code}: ${description}`;
  if (details.subject !== undefined) message += `, ${details.subject}`;
  if (details.kernelMessage !== undefined) message += ` (kernel: ${details.kernelMessage})`;
  if (details.hint !== undefined) message += `. ${details.hint}`;
  const error = new Error(message, { cause: details.cause }) as SystemError;
  error.code = code;
  error.errno = errno;
  error.syscall = syscall;
  if (details.kernelMessage !== undefined) error.kernelMessage = details.kernelMessage;
  if (details.hint !== undefined) error.hint = details.hint;
  return error;
}

/** Whether an error came from a system call. */
export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'errno' in error && 'syscall' in error;
}

/** The error, with the code that Node.js has for it. */
export function withCode<T extends Error>(
  error: T,
  code: NodeErrorCode,
): T & { code: NodeErrorCode } {
  return Object.assign(error, { code });
}

/** A TypeError that names the argument, what it must be, and what it was. */
export function invalidArgType(name: string, expected: string, value: unknown): TypeError {
  const message = `The "${name}" argument must be ${expected}. Received ${describe(value)}`;
  return withCode(new TypeError(message), 'ERR_INVALID_ARG_TYPE');
}

/** A TypeError for a value of the right type that makes no sense. */
export function invalidArgValue(name: string, expected: string, value: unknown): TypeError {
  const message = `The argument "${name}" must be ${expected}. Received ${describe(value)}`;
  return withCode(new TypeError(message), 'ERR_INVALID_ARG_VALUE');
}

/** A RangeError that names the argument, its range, and the value. */
export function outOfRange(name: string, range: string, value: unknown): RangeError {
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${describe(value)}`;
  return withCode(new RangeError(message), 'ERR_OUT_OF_RANGE');
}

/** A TypeError for `new` of what only this package makes; `instead` does it. */
export function illegalConstructor(name: string, instead: string): TypeError {
  const message = `Illegal constructor: a ${name} is made by ${instead}, not by new`;
  return withCode(new TypeError(message), 'ERR_ILLEGAL_CONSTRUCTOR');
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') {
    const name = (value.constructor as { name?: string } | undefined)?.name;
    return name === undefined ? inspect(value, { depth: -1 }) : `an instance of ${name}`;
  }
  return `type ${typeof value} (${inspect(value).slice(0, 60)})`;
}

/** @throws TypeError or RangeError unless `value` is an integer in [min, max]. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw invalidArgType(name, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(name, `an integer >= ${min} and <= ${max}`, value);
  }
  return value;
}

/** @throws TypeError unless `value` is one of `allowed`. */
export function checkOneOf<T extends string>(
  name: string,
  value: unknown,
  allowed: readonly T[],
): T {
  if (typeof value === 'string' && (allowed as readonly string[]).includes(value)) {
    return value as T;
  }
  throw invalidArgValue(name, `one of ${allowed.map((each) => `'${each}'`).join(', ')}`, value);
}

/** @throws TypeError unless `value` is an object (and no array). */
export function checkObject(name: string, value: unknown): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidArgType(name, 'an object', value);
  }
  return value;
}

/**
 * What each entry of an array comes to. One that is missing (`[2, , 3]`) is checked too, as
 * undefined.
 *
 * @param expected - e.g. `'an array of numbers'`
 * @param check - gets an entry's name, e.g. `'options.queues[0]'`
 * @throws TypeError unless `value` is an array
 */
export function checkEach<T>(
  name: string,
  value: unknown,
  expected: string,
  check: (name: string, entry: unknown) => T,
): T[] {
  if (!Array.isArray(value)) throw invalidArgType(name, expected, value);
  return Array.from(value, (entry: unknown, index) => check(`${name}[${index}]`, entry));
}

/** @throws TypeError unless `value` is a Uint8Array, of this realm or another. */
export function checkUint8Array(name: string, value: unknown): Uint8Array {
  if (!types.isUint8Array(value)) throw invalidArgType(name, 'a Uint8Array', value);
  return value;
}

/**
 * Refuses options that would be heeded, or ignored, to the caller's harm.
 *
 * @param refused - by name, why, and what to do instead: follows "left out: "
 * @throws TypeError for the first of them that is given
 */
export function checkLeftOut(options: object, refused: ReadonlyMap<string, string>): void {
  for (const [name, value] of Object.entries(options)) {
    const why = refused.get(name);
    if (why === undefined || value === undefined) continue;
    throw invalidArgValue(`options.${name}`, `left out: ${why}`, value);
  }
}
