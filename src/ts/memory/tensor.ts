/** What a part of memory is to a consumer: where it lies, its elements' type, its shape. */
import { checkEach, checkInteger, checkOneOf, invalidArgValue, outOfRange } from '../errors.js';

/**
 * Type of a tensor's elements, by its name in PyTorch, which but for `bfloat16` and `float8`
 * is NumPy's too.
 */
export type ElementType =
  | 'bool'
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'uint32'
  | 'int32'
  | 'uint64'
  | 'int64'
  | 'float8_e4m3fn'
  | 'float8_e5m2'
  | 'float16'
  | 'bfloat16'
  | 'float32'
  | 'float64'
  | 'complex64'
  | 'complex128';

// Bytes of an element.
const ITEM_BYTES: Readonly<Record<ElementType, number>> = {
  bool: 1,
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  uint64: 8,
  int64: 8,
  float8_e4m3fn: 1,
  float8_e5m2: 1,
  float16: 2,
  bfloat16: 2,
  float32: 4,
  float64: 8,
  complex64: 8,
  complex128: 16,
};

const TYPES = Object.keys(ITEM_BYTES) as ElementType[];

// What NumPy took before its version 2.
const MAX_DIMENSIONS = 32;

export interface TensorOptions {
  /** Bytes from the start of the memory; a multiple of an element's bytes. Default 0. */
  offset?: number;
  /**
   * Bytes. Default: what `shape` takes, and without that, all from `offset` to the end of
   * the memory.
   */
  length?: number;
  /** Default `'uint8'`. */
  dtype?: ElementType;
  /** Elements in each dimension, at most 32; rows first, without gaps. Default: one dimension. */
  shape?: readonly number[];
}

/** A tensor in memory: bytes `offset` to `offset + length`, in this machine's byte order. */
export interface Tensor {
  offset: number;
  length: number;
  dtype: ElementType;
  shape: readonly number[];
}

/**
 * The tensor that options describe.
 *
 * @param size - bytes of the memory
 * @throws TypeError, RangeError for options that make no sense, alone or together
 */
export function checkTensor(options: TensorOptions, size: number): Tensor {
  const dtype = checkOneOf('options.dtype', options.dtype ?? 'uint8', TYPES);
  const itemBytes = ITEM_BYTES[dtype];
  const offset = checkInteger('options.offset', options.offset ?? 0, 0, size);
  checkMultiple('options.offset', offset, dtype);
  const shape = options.shape === undefined ? undefined : checkShape(options.shape);
  const shaped = shape && bytesOf(shape, itemBytes);
  const length = options.length ?? shaped ?? size - offset;
  checkInteger('options.length', length, 0, Number.MAX_SAFE_INTEGER);
  checkMultiple('options.length', length, dtype);
  if (shaped !== undefined && shaped !== length) {
    const what = `${shaped}, the bytes of ${dtype} [${shape!.join(', ')}]`;
    throw outOfRange('options.length', what, length);
  }
  if (length > size - offset) {
    const what = `at most ${size - offset}, the bytes from options.offset to the end of the memory`;
    throw outOfRange('options.length', what, length);
  }
  return { offset, length, dtype, shape: shape ?? [length / itemBytes] };
}

function checkShape(shape: unknown): number[] {
  if (Array.isArray(shape) && shape.length > MAX_DIMENSIONS) {
    const most = `of ${MAX_DIMENSIONS} dimensions at most, not of ${shape.length}`;
    throw invalidArgValue('options.shape', most, shape);
  }
  return checkEach('options.shape', shape, 'an array of numbers', (name, each) =>
    checkInteger(name, each, 0, Number.MAX_SAFE_INTEGER),
  );
}

function bytesOf(shape: readonly number[], itemBytes: number): number {
  const bytes = shape.reduce((product, each) => product * each, itemBytes);
  if (!Number.isSafeInteger(bytes)) {
    throw invalidArgValue('options.shape', 'the shape of something that fits into memory', shape);
  }
  return bytes;
}

function checkMultiple(name: string, value: number, dtype: ElementType): void {
  const itemBytes = ITEM_BYTES[dtype];
  if (value % itemBytes === 0) return;
  throw outOfRange(name, `a multiple of ${itemBytes}, the bytes of an element of ${dtype}`, value);
}
