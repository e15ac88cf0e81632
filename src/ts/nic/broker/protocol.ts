/**
 * What a broker and its clients say: one request, with the dma-buf's descriptor, and
 * one answer, as ipc/message.ts frames them. docs/broker.md describes it for others.
 */
import {
  DEVMEM_ERRORS,
  DevmemError,
  type DevmemErrorCode,
  invalidArgValue,
  type SystemError,
} from '../../errors.js';
import { badMessage, type Content, show } from '../../ipc/message.js';
import { checkPageSize } from '../bind-options.js';
import { checkInterface, checkQueues } from '../interface-arguments.js';
import type { BindingRequest } from '../kernel-binding.js';

/** Longest request and answer, in bytes. */
export const MAX_BYTES = 64 * 1024;

const VERSION = 1;
const COMMAND = 'bind-rx';

/** What the client learns of its binding. */
export interface BoundAnswer {
  id: number;
  interfaceIndex: number;
  /** Memory that the receive rings keep filled, in bytes. */
  ringBytes: number;
  /** The broker's network namespace, e.g. `net:[4026531840]`. */
  namespace: string | undefined;
}

export function encodeRequest(request: BindingRequest): Content {
  return { version: VERSION, command: COMMAND, ...request };
}

/** @throws Error that tells what is wrong with it */
export function decodeRequest(content: Content): BindingRequest {
  const { version, command, interface: name, queues, size, rxPageSize, ...unknown } = content;
  if (version !== VERSION) {
    throw badMessage(`is of version ${show(version)}, and this broker speaks version ${VERSION}`);
  }
  if (command !== COMMAND) throw badMessage(`has the command ${show(command)}, not "${COMMAND}"`);
  const extra = Object.keys(unknown);
  // Ignoring what it asks for would leave the client with something else.
  if (extra.length > 0) throw badMessage(`asks for ${show(extra[0])}, which this broker cannot do`);
  if (!isCount(size)) throw invalidArgValue('size', 'a number of bytes', size);
  return {
    interface: checkInterface(name, 'interface'),
    queues: checkQueues(queues, 'queues'),
    size,
    rxPageSize: rxPageSize === undefined ? undefined : checkPageSize('rxPageSize', rxPageSize),
  };
}

export function encodeAnswer(answer: BoundAnswer): Content {
  return { ...answer };
}

/** An error as the client will throw it. */
export function encodeError(error: unknown): Content {
  if (!(error instanceof Error)) return { error: { message: String(error) } };
  const { code, errno, syscall, kernelMessage, hint } = error as Partial<SystemError>;
  const { message } = error;
  return { error: { message, code, errno, syscall, kernelMessage, hint } };
}

/**
 * @throws what the broker or its kernel refused with, as if it had been refused here;
 *   DevmemError ERR_DEVMEM_BAD_MESSAGE for what is no answer
 */
export function decodeAnswer(content: Content): BoundAnswer {
  if (typeof content.error === 'object' && content.error !== null) {
    throw decodeError(content.error as Content);
  }
  const { id, interfaceIndex, ringBytes, namespace } = content;
  if (!isCount(id) || !isCount(interfaceIndex) || !isCount(ringBytes)) {
    throw badMessage('is no answer of a broker: it lacks id, interfaceIndex or ringBytes');
  }
  const known = typeof namespace === 'string' ? namespace : undefined;
  return { id, interfaceIndex, ringBytes, namespace: known };
}

function decodeError(content: Content): Error {
  const { code, errno, syscall, kernelMessage, hint } = content;
  const message = String(content.message);
  if (typeof code === 'string' && Object.hasOwn(DEVMEM_ERRORS, code)) {
    return new DevmemError(code as DevmemErrorCode, message);
  }
  if (typeof code !== 'string' || typeof errno !== 'number' || typeof syscall !== 'string') {
    return new DevmemError('ERR_DEVMEM_BROKER_REFUSED', `The broker refused: ${message}`);
  }
  const error = Object.assign(new Error(message), { code, errno, syscall }) as SystemError;
  if (typeof kernelMessage === 'string') error.kernelMessage = kernelMessage;
  if (typeof hint === 'string') error.hint = hint;
  return error;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
