/** What a provider of memory gives to `DmaBuf`. */
import type { Cuda, CudaMemory, OwnedFd } from '../native.js';

/** How `DmaBuf` memory came to be. */
export type BackingType = 'udmabuf' | 'dma-heap' | 'cuda' | 'import' | 'host';

/** Copies made by the device that has the memory, where the CPU has no view of it. */
export interface DeviceCopies {
  readonly cuda: Cuda;
  /** Number of the device. */
  readonly device: number;
  readonly memory: CudaMemory;
  /** The memory's address on the device. */
  readonly devicePtr: bigint;
  read(offset: number, target: Uint8Array): void;
  write(offset: number, source: Uint8Array): void;
  /** Waits until the device sees what others wrote to the memory. */
  flush(): void;
  /** What another process opens it by. */
  ipc(): DeviceIpc;
}

/** How another process comes by memory of a device. */
export interface DeviceIpc {
  /** 64 bytes (CUipcMemHandle), in base64: for cuIpcOpenMemHandle(). */
  handle: string;
  /** Its device, whose number may be another one there. */
  device: {
    /** As `nvidia-smi -L` has it, without `GPU-` before it. */
    uuid: string;
    /** As in /sys/bus/pci/devices: for cuDeviceGetByPCIBusId(). */
    pciAddress: string;
  };
}

export interface Backing {
  readonly type: BackingType;
  /** Bytes. */
  readonly size: number;
  /** Undefined for memory that no NIC can receive into. */
  readonly dmaBuf: OwnedFd | undefined;
  /** What the CPU maps: the file of the pages, or the dma-buf itself; undefined: it cannot. */
  readonly mappable: OwnedFd | undefined;
  /** The kernel's name of what made the dma-buf (`exp_name` in /proc/self/fdinfo). */
  readonly exporter: string | undefined;
  /** For memory that is not `mappable`. */
  readonly device?: DeviceCopies;
  /** Lets go of everything, in the order that the provider needs. */
  close(): void;
}
