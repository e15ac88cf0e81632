/** CUDA's driver on this machine: finding it, its devices, and what its errors mean. */
import { readFile } from 'node:fs/promises';

import { DevmemError } from '../errors.js';
import { type Cuda, type CudaFailure, native } from '../native.js';

/** What CUDA refused, or why there is no CUDA. */
export class CudaError extends DevmemError {
  /** CUDA's name of the error, e.g. `'CUDA_ERROR_OUT_OF_MEMORY'`; undefined: not CUDA's. */
  readonly cudaError: string | undefined;
  /** CUDA's number of the error. */
  readonly result: number | undefined;
  /** What failed, e.g. `'cuMemAlloc'`. */
  readonly call: string;
  /** What mends it. */
  readonly hint: string;

  /** @internal */
  constructor(call: string, what: string, hint: string, error?: { name: string; result: number }) {
    super('ERR_DEVMEM_CUDA', `${call}: ${what}. ${hint}`);
    this.name = 'CudaError';
    this.call = call;
    this.hint = hint;
    this.cudaError = error?.name;
    this.result = error?.result;
  }
}

/** What matters of a GPU. Numbers are as CUDA's attributes give them. */
export interface CudaDevice {
  /** For `DmaBuf.allocate({ type: 'cuda', device })`. */
  device: number;
  /** Its product name, as `nvidia-smi` has it. */
  name: string;
  /** As in /sys/bus/pci/devices. */
  pciAddress: string;
  /** Bytes of its memory. */
  totalBytes: number;
  /** Whether its memory can be a dma-buf. */
  dmaBufSupported: boolean;
  /** Whether devices on PCI Express can reach its memory. */
  gpuDirectRdmaSupported: boolean;
  /** Bits: 1 flushing from the host, 2 from a stream. */
  flushWritesOptions: number;
  /** What sees a NIC's writes with no flush: 0 nothing, 100 the device itself, 200 all devices. */
  writesOrdering: number;
  /** Whether it shares the CPU's page tables (GH200, GB200). */
  coherent: boolean;
}

// CUdevice_attribute of cuda.h
const USES_HOST_PAGE_TABLES = 100;
const GPU_DIRECT_RDMA_SUPPORTED = 116;
const FLUSH_WRITES_OPTIONS = 117;
const WRITES_ORDERING = 118;
const DMA_BUF_SUPPORTED = 124;

/**
 * Loads and initialises CUDA.
 *
 * @throws CudaError where there is none, or it does not work here
 */
export async function openCuda(): Promise<Cuda> {
  const cuda = new (native().Cuda)();
  const reason = cuda.load();
  if (reason !== undefined) {
    throw new CudaError(
      'dlopen',
      reason,
      "Install NVIDIA's driver of CUDA 12.0 or newer (R525), whose libcuda.so.1 the linker must find (in a container: the NVIDIA container toolkit with the 'compute' capability)",
    );
  }
  checkCuda(cuda, 'cuInit', await cuda.init());
  return cuda;
}

/**
 * The device's properties.
 *
 * @throws CudaError where there is no such device
 */
export function cudaDevice(cuda: Cuda, device: number): CudaDevice {
  const attribute = (number: number): number => {
    // An attribute that the driver does not know is one that the device lacks.
    return Math.max(cuda.deviceAttribute(device, number), 0);
  };
  return {
    device,
    name: checkCuda(cuda, 'cuDeviceGetName', cuda.deviceName(device)),
    pciAddress: checkCuda(cuda, 'cuDeviceGetPCIBusId', cuda.devicePciAddress(device)).toLowerCase(),
    totalBytes: checkCuda(cuda, 'cuDeviceTotalMem', cuda.deviceBytes(device)),
    dmaBufSupported: attribute(DMA_BUF_SUPPORTED) === 1,
    gpuDirectRdmaSupported: attribute(GPU_DIRECT_RDMA_SUPPORTED) === 1,
    flushWritesOptions: attribute(FLUSH_WRITES_OPTIONS),
    writesOrdering: attribute(WRITES_ORDERING),
    coherent: attribute(USES_HOST_PAGE_TABLES) === 1,
  };
}

/** All devices. */
export function cudaDevices(cuda: Cuda): CudaDevice[] {
  const count = checkCuda(cuda, 'cuDeviceGetCount', cuda.deviceCount());
  return Array.from({ length: count }, (_, device) => cudaDevice(cuda, device));
}

/** What to do about a device whose memory cannot be a dma-buf. */
export async function noDmaBufHint(): Promise<string> {
  const version = await readFile('/proc/driver/nvidia/version', 'utf8').catch(() => '');
  if (version.includes('Open Kernel Module')) {
    return 'The open kernel modules are loaded: use a GPU that supports GPUDirect RDMA, a driver of R515 or newer, and Linux 5.12 or newer';
  }
  return "It takes NVIDIA's open kernel modules (package nvidia-open, or 'nvidia-driver' with kernel modules of the open flavour; 'modinfo -F license nvidia' then says 'Dual MIT/GPL') and a GPU of Turing's or a later generation";
}

/**
 * Passes on what a call returned.
 *
 * @throws CudaError for a negative number
 */
export function checkCuda<T extends number | string | Buffer>(
  cuda: Cuda,
  call: string,
  returned: T | number,
  subject = '',
): T {
  const status: unknown = returned;
  if (typeof status !== 'number' || status >= 0) return returned as T;
  throw cudaError(cuda, { call, result: -status }, subject);
}

/** What a call that failed throws. */
export function cudaError(cuda: Cuda, { call, result }: CudaFailure, subject = ''): CudaError {
  const [known, description] = cuda.errorText(result);
  const name = known === '' ? `CUDA error ${result}` : known;
  const words = [`${name} (${result})`, description, subject].filter((each) => each !== '');
  return new CudaError(call, words.join(', '), hintFor(call, name), { name, result });
}

// By the name of the error, or by call and name where it means something else there.
const HINTS: Readonly<Record<string, string>> = {
  'cuIpcGetMemHandle CUDA_ERROR_NOT_SUPPORTED':
    "CUDA's IPC is not to be had on this device or system: consume the data in this process, or hand it on in host memory",
  CUDA_ERROR_NO_DEVICE:
    "CUDA sees no GPU: look at 'nvidia-smi', at CUDA_VISIBLE_DEVICES, and in a container at the devices passed in",
  CUDA_ERROR_INVALID_DEVICE: 'There is no such device: probeMemory() lists those that there are',
  CUDA_ERROR_OUT_OF_MEMORY:
    "Ask for less, or free memory of the device: 'nvidia-smi' shows who has it",
  CUDA_ERROR_NOT_SUPPORTED:
    "The device's memory cannot be a dma-buf here: NVIDIA's open kernel modules are needed, on Linux 5.12 or newer",
  CUDA_ERROR_ILLEGAL_ADDRESS:
    "Something on the GPU, in this process, accessed memory that it must not, and the GPU does nothing more for the process: end it, and look for memory that was freed while the GPU used it ('compute-sanitizer' finds such)",
  CUDA_ERROR_UNSUPPORTED_PTX_VERSION: 'Install a driver of CUDA 12.0 or newer (R525)',
  CUDA_ERROR_STUB_LIBRARY:
    'The linker found the stub that serves for building: have it find the libcuda.so.1 of the driver first',
  CUDA_ERROR_DEVICE_UNAVAILABLE:
    "Another process has the device to itself: 'nvidia-smi -c DEFAULT' lets them share",
  CUDA_ERROR_SYSTEM_NOT_READY: 'Start the fabric manager: systemctl start nvidia-fabricmanager',
  CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
    "The library and the kernel module are of different versions: reboot, or reload the module, after the driver's update",
  CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
    "This GPU does not take the library's forward compatibility: use the driver's own libcuda.so.1",
};

function hintFor(call: string, name: string): string {
  return (
    HINTS[`${call} ${name}`] ??
    HINTS[name] ??
    "See 'nvidia-smi' and the kernel log ('dmesg | grep NVRM')"
  );
}
