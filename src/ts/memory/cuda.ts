/** `cuda` memory: an allocation on an NVIDIA GPU, exported as a dma-buf. */
import { isMainThread } from 'node:worker_threads';

import { type Cuda, type CudaMemory, native } from '../native.js';
import type { Backing, DeviceCopies, DeviceIpc } from './backing.js';
import {
  checkCuda,
  cudaDevice,
  type CudaDevice,
  CudaError,
  noDmaBufHint,
  openCuda,
} from './cuda-driver.js';

/** What CUDA maps memory by; an allocation of less would share a page with others. */
export const CUDA_PAGE = 2 * 2 ** 20;

// cuda.h
const MAPPING_TYPE_PCIE = 1;
const FLUSH_FROM_HOST = 1;
const ORDERED_FOR_OWNER = 100;

export async function allocateCuda(bytes: number, device: number): Promise<Backing> {
  const cuda = await openCuda();
  const properties = cudaDevice(cuda, device);
  if (!properties.dmaBufSupported) {
    throw new CudaError(
      'cuDeviceGetAttribute',
      `memory of device ${device} (${properties.name}) cannot be a dma-buf (CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED is 0)`,
      await noDmaBufHint(),
    );
  }
  const size = Math.ceil(bytes / CUDA_PAGE) * CUDA_PAGE;
  const memory = new (native().CudaMemory)(cuda, device, isMainThread);
  const subject = `${size} bytes on device ${device} (${properties.name})`;
  try {
    checkCuda(cuda, 'cuDevicePrimaryCtxRetain', await memory.retain(), subject);
    checkCuda(cuda, 'cuMemAlloc', await memory.allocate(size), subject);
    const flags = properties.coherent ? MAPPING_TYPE_PCIE : 0;
    checkCuda(cuda, 'cuMemGetHandleForAddressRange', await memory.export(flags), subject);
  } catch (error) {
    memory.close();
    throw error;
  }
  return {
    type: 'cuda',
    size,
    dmaBuf: memory,
    mappable: undefined,
    exporter: 'nvidia',
    device: copies(cuda, memory, properties),
    close: () => {
      memory.close();
    },
  };
}

function copies(cuda: Cuda, memory: CudaMemory, properties: CudaDevice): DeviceCopies {
  const ordered = properties.writesOrdering >= ORDERED_FOR_OWNER;
  const flush = (): void => {
    if (ordered) return;
    if ((properties.flushWritesOptions & FLUSH_FROM_HOST) === 0) {
      throw new CudaError(
        'cuFlushGPUDirectRDMAWrites',
        `device ${properties.device} (${properties.name}) neither orders what a NIC writes nor can be told to`,
        'Have the consumer wait on a stream with CU_STREAM_WAIT_VALUE_FLUSH, or use another GPU',
      );
    }
    checkCuda(cuda, 'cuFlushGPUDirectRDMAWrites', memory.flush());
  };
  return {
    cuda,
    device: properties.device,
    memory,
    devicePtr: memory.address,
    read: (offset, target) => {
      flush();
      checkCuda(cuda, 'cuMemcpyDtoH', memory.read(offset, target));
    },
    write: (offset, source) => {
      checkCuda(cuda, 'cuMemcpyHtoD', memory.write(offset, source));
    },
    flush,
    ipc: () => ipcOf(cuda, memory, properties),
  };
}

function ipcOf(cuda: Cuda, memory: CudaMemory, { device, pciAddress }: CudaDevice): DeviceIpc {
  const handle = checkCuda<Buffer>(cuda, 'cuIpcGetMemHandle', memory.ipcHandle());
  const uuid = checkCuda<Buffer>(cuda, 'cuDeviceGetUuid', cuda.deviceUuid(device)).toString('hex');
  return {
    handle: handle.toString('base64'),
    device: { uuid: uuid.replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'), pciAddress },
  };
}
