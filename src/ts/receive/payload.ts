/** What everything that hands out pieces of the stream has in common. */
import type { Fragment } from './fragment.js';

/** A stretch of memory that a piece of the stream lies in. */
export interface DeviceRun {
  /** Bytes from the start of the dma-buf. */
  offset: number;
  /** Bytes. */
  size: number;
  /** Which dma-buf: the binding's id. */
  dmabufId: number;
  /** There are none: the bytes are in the dma-buf. */
  bytes: undefined;
}

/** A piece of the stream that came through the kernel's own memory. */
export interface LinearRun {
  /** There is none: the bytes are not in the binding's memory. */
  offset: undefined;
  /** Bytes. */
  size: number;
  /** The id of no dma-buf. */
  dmabufId: 0;
  /** They outlive the lease. */
  bytes: Uint8Array;
}

/** Consecutive bytes of the stream in one place: in device memory unless it has `bytes`. */
export type Run = DeviceRun | LinearRun;

/** Called with a device fragment's offset and size in bytes, dmabuf id and index. */
export type DeviceCallback = (
  offset: number,
  size: number,
  dmabufId: number,
  index: number,
) => void;

/** Called with the bytes of a linear fragment and its index. */
export type LinearCallback = (bytes: Uint8Array, index: number) => void;

/**
 * Consecutive bytes of the stream, fragment by fragment: a batch as it arrived, or a span
 * of as many bytes as were asked for.
 *
 * A lease. Its device memory is the consumer's until `release()` (also `Symbol.dispose`);
 * used after that it throws ERR_DEVMEM_RELEASED. Releasing twice is harmless.
 */
export interface Payload extends Iterable<Fragment>, Disposable {
  /** Fragments in it. */
  readonly length: number;
  /** Bytes of the stream in it. */
  readonly byteLength: number;
  /** Bytes of it that came linear: `forEach` hands them to its second callback. */
  readonly linearLength: number;
  /** Whether all of it was given back. */
  readonly released: boolean;
  /**
   * Calls back for each fragment in stream order, device fragments to the first callback,
   * linear ones to the second. Fragments released one by one are left out.
   *
   * @throws DevmemError ERR_DEVMEM_LINEAR_FRAGMENT, before any call, if it holds linear
   *   bytes and there is no callback for them
   * @throws DevmemError ERR_DEVMEM_RELEASED where a callback released it before its last
   *   fragment
   */
  forEach(onDevice: DeviceCallback, onLinear?: LinearCallback): void;
  /**
   * Where its bytes lie, in stream order, with neighbours in memory merged: fewer, larger
   * copies for whoever gathers them. Fragments released one by one are left out.
   */
  runs(): Run[];
  /** Gives the memory back: the sender may fill it again. */
  release(): void;
}
