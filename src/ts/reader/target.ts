/** Where a reader puts bytes. */
import { types } from 'node:util';

import { checkInteger, DevmemError, invalidArgType } from '../errors.js';
import { DmaBuf } from '../memory/dma-buf.js';
import type { Target } from '../gather/engine.js';
import type { Binding } from '../receive/binding.js';
import type { ReadIntoOptions } from './options.js';

/** A stretch of a target. */
export interface Place {
  readonly target: Target;
  /** Bytes from the target's start. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/**
 * @param bindings - of the socket that is read
 * @throws TypeError, RangeError for what is no target, or not inside
 * @throws DevmemError ERR_DEVMEM_WRONG_MEMORY for memory that the socket receives into
 */
export function checkTarget(
  target: unknown,
  options: ReadIntoOptions,
  bindings: readonly Binding[],
): Place {
  const size = sizeOf(target);
  const { offset = 0 } = options;
  checkInteger('options.offset', offset, 0, size);
  const { length = size - offset } = options;
  checkInteger('options.length', length, 0, size - offset);
  if (target instanceof DmaBuf) checkMemory(target, bindings);
  return { target: target as Target, offset, length };
}

/** @throws DevmemError ERR_DEVMEM_CLOSED where its memory is gone by now */
export function checkPlace({ target, offset, length }: Place): void {
  if (target instanceof DmaBuf) checkOpen(target);
  else if (target.length < offset + length) throw detached();
}

function sizeOf(target: unknown): number {
  if (target instanceof DmaBuf) return target.size;
  if (!types.isUint8Array(target)) {
    throw invalidArgType('target', 'a DmaBuf or a Uint8Array', target);
  }
  if (target.length === 0) checkAttached(target);
  return target.length;
}

// An array has no length either where its memory was transferred, or is too short for it by now.
function checkAttached(target: Uint8Array): void {
  try {
    Uint8Array.prototype.fill.call(target, 0);
  } catch (cause) {
    throw new DevmemError(
      'ERR_DEVMEM_CLOSED',
      'target has no memory: its ArrayBuffer was transferred or shrunk',
      { cause },
    );
  }
}

function checkMemory(target: DmaBuf, bindings: readonly Binding[]): void {
  checkOpen(target);
  const own = bindings.some(({ memory }) => memory.ownership === target.ownership);
  if (!own) return;
  throw new DevmemError(
    'ERR_DEVMEM_WRONG_MEMORY',
    'target is the memory that the socket receives into, where the bytes lie already: use take(), or another memory',
  );
}

function checkOpen(target: DmaBuf): void {
  if (target.closed) throw closedTarget();
}

export function closedTarget(): DevmemError {
  return new DevmemError('ERR_DEVMEM_CLOSED', 'target was closed');
}

function detached(): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_CLOSED',
    'The target lost its memory: its ArrayBuffer was transferred or shrunk while bytes were read into it',
  );
}
