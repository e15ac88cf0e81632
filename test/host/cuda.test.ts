/**
 * Memory of a GPU. Most tests run with a double of libcuda, in a process of their own;
 * on a machine that has a GPU, those that need no double run with the real library too.
 */
import { DmaBuf, type IpcHandle, probeMemory } from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { itWhere } from '../support/conditions.js';
import { thrownBy } from '../support/thrown.js';
import { CudaDouble, runScenario } from './cuda/double.js';

const MiB = 2 ** 20;

let double: CudaDouble;

beforeAll(() => {
  double = new CudaDouble();
});

afterAll(() => {
  double[Symbol.dispose]();
});

const COPIED = {
  type: 'cuda',
  size: 4 * MiB,
  isDmaBuf: true,
  exporter: 'nvidia',
  fileSize: 4 * MiB,
  address: true,
  text: 'across',
  none: 0,
  closed: true,
};

describe("a GPU's memory", () => {
  it('is rounded up to 2 MiB, exported, written, read and freed in the right order', () => {
    const { result, calls } = double.run('copy');
    expect(result).toMatchObject(COPIED);
    expect(calls).toEqual([
      'cuInit(0)',
      'cuDevicePrimaryCtxRetain(0)',
      `cuMemAlloc(${4 * MiB})`,
      `cuMemGetHandleForAddressRange(${4 * MiB}, flags 0)`,
      'cuMemFree, dma-buf closed',
      'cuDevicePrimaryCtxRelease(0) retained 0',
    ]);
  });

  it('is mapped by PCIe where the GPU shares page tables with the CPU', () => {
    const { calls } = double.run('copy', { ATTRIBUTES: '100=1' });
    expect(calls).toContain(`cuMemGetHandleForAddressRange(${4 * MiB}, flags 1)`);
  });

  it('cannot be mapped, nor copied into: the error names what can be done', () => {
    const { result } = double.run('views');
    const [map, access, copy, auto, devmem] = result as { code: string; message: string }[];
    for (const error of [map, access]) {
      expect(error!.code).toBe('ERR_DEVMEM_NOT_MAPPABLE');
      expect(error!.message).toContain("type 'cuda'");
      expect(error!.message).toContain('read()');
    }
    expect(copy!.code).toBe('ERR_DEVMEM_WRONG_MEMORY');
    expect(copy!.message).not.toContain('Devmem could not be used');
    expect(auto!.code).toBe('ERR_DEVMEM_WRONG_MEMORY');
    expect(auto!.message).toContain('Devmem could not be used: ');
    expect(auto!.message).toContain('options.interface');
    // No PCI device: its driver would crash the kernel.
    expect(devmem!.code).toBe('ERR_DEVMEM_WRONG_MEMORY');
    expect(devmem!.message).toContain('lo is no PCI device');
  });

  it('is kept while a binding or a connection uses it, close() or not', () => {
    const { result, calls } = double.run('inUse');
    expect(result).toEqual({ whileBound: false, whileConnected: false, afterwards: true });
    expect(calls.at(-2)).toBe('cuMemFree, dma-buf closed');
  });

  it('is freed when nobody has it any more', () => {
    const { result, calls } = double.run('collect');
    expect(result).toBe('collected');
    expect(calls).toContain('cuMemFree, dma-buf closed');
  });

  it('is freed when its worker is terminated', () => {
    const { result, calls, stderr } = double.run('worker');
    expect({ result, stderr }).toEqual({ result: 'terminated', stderr: '' });
    expect(calls.slice(-2)).toEqual([
      'cuMemFree, dma-buf closed',
      'cuDevicePrimaryCtxRelease(0) retained 0',
    ]);
  });

  it('is freed, whichever call its worker is terminated in', () => {
    const { result, stderr, calls } = double.run('busyWorkers');
    expect({ result, stderr }).toEqual({ result: 'terminated', stderr: '' });
    const count = (start: string): number => calls.filter((call) => call.startsWith(start)).length;
    expect(count('cuMemAlloc')).toBeGreaterThanOrEqual(10);
    expect(count('cuMemFree, dma-buf closed')).toBe(count('cuMemAlloc'));
    // The last worker may have come no further than a call that retains nothing.
    expect(calls.findLast((call) => call.includes('PrimaryCtx'))).toContain('retained 0');
  });

  it.for(['abandon', 'exit'])('is left to the kernel at the end of the process: %s', (scenario) => {
    const { status, signal, stderr, calls } = double.run(scenario);
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
    expect(calls.at(-1)).toContain('cuMemGetHandleForAddressRange');
  });
});

describe('what another process opens it by', () => {
  it('is a handle of all of it, its device, and where the part begins', () => {
    const { result } = double.run('ipc');
    const { whole, part, failures } = result as Record<'whole' | 'part', IpcHandle> & {
      failures: { code: string }[];
    };
    expect(Buffer.from(whole.handle, 'base64')).toHaveLength(64);
    const uuid = '01112131-4151-6171-8191-a1b1c1d1e1f1';
    expect(whole).toEqual({
      handle: whole.handle,
      device: { uuid, pciAddress: '0000:a1:00.0' },
      offset: 0,
      size: 4 * MiB,
    });
    expect(part).toEqual({ ...whole, offset: MiB, size: 4096 });
    const codes = failures.map(({ code }) => code);
    expect(codes).toEqual(['ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE', 'ERR_DEVMEM_CLOSED']);
  });

  it.for([
    ['cuIpcGetMemHandle=801', 'cuIpcGetMemHandle', 'in host memory'],
    ['cuIpcGetMemHandle=999', 'cuIpcGetMemHandle', 'nvidia-smi'],
    ['cuDeviceGetUuid=999', 'cuDeviceGetUuid', 'nvidia-smi'],
  ] as const)('is an error in words where CUDA refuses: %s', ([fail, call, hint]) => {
    const { result, calls } = double.run('ipcFailure', { FAIL: fail });
    expect(result).toMatchObject({ code: 'ERR_DEVMEM_CUDA', call });
    expect((result as { message: string }).message).toContain(hint);
    expect(calls).toContain('cuMemFree, dma-buf closed');
  });

  it('is no business of other memory', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: 2 * MiB });
    const error = thrownBy(() => memory.ipcHandle());
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_WRONG_MEMORY' });
    expect(error.message).toContain('handOff()');
  });
});

describe("a NIC's writes", () => {
  it('are flushed before a read where the GPU does not order them', () => {
    const { calls } = double.run('flush', { ATTRIBUTES: '118=0,117=1' });
    expect(calls.filter((call) => call === 'cuFlushGPUDirectRDMAWrites(0, 100)')).toHaveLength(2);
  });

  it('need no flush where it does', () => {
    const { calls } = double.run('flush', { ATTRIBUTES: '118=100,117=1' });
    expect(calls.join()).not.toContain('cuFlushGPUDirectRDMAWrites');
  });

  it('are an error where it neither orders them nor can be told to', () => {
    const { result } = double.run('flushFailure', { ATTRIBUTES: '118=0,117=2' });
    expect(result).toMatchObject({ code: 'ERR_DEVMEM_CUDA', call: 'cuFlushGPUDirectRDMAWrites' });
  });
});

describe('a call that CUDA refuses', () => {
  it.for([
    ['cuInit=100', 'CUDA_ERROR_NO_DEVICE', 'nvidia-smi', []],
    ['cuDevicePrimaryCtxRetain=2', 'CUDA_ERROR_OUT_OF_MEMORY', 'Ask for less', []],
    ['cuMemAlloc=2', 'CUDA_ERROR_OUT_OF_MEMORY', 'Ask for less', ['Release']],
    ['cuCtxSetCurrent=999', 'CUDA error 999', 'dmesg', ['Release']],
    [
      'cuMemGetHandleForAddressRange=801',
      'CUDA_ERROR_NOT_SUPPORTED',
      'open kernel modules',
      ['Free', 'Release'],
    ],
  ] as const)('is told with its name and a remedy: %s', ([fail, name, hint, undone]) => {
    const { result, calls } = double.run('failure', { FAIL: fail });
    const [call, number] = fail.split('=');
    expect(result).toMatchObject({
      name: 'CudaError',
      code: 'ERR_DEVMEM_CUDA',
      call: call === 'cuCtxSetCurrent' ? 'cuMemAlloc' : call,
      cudaError: name,
      result: Number(number),
    });
    const { message } = result as { message: string };
    expect(message).toContain(`${name} (${number})`);
    expect(message).toContain(hint);
    if (undone.length > 0) expect(message).toContain(`${4 * MiB} bytes on device 1 (Double 1)`);
    const releases = calls.flatMap((each) => /Free|Release/.exec(each)?.[0] ?? []);
    expect(releases).toEqual(undone);
  });

  it('is told of reading, too', () => {
    const { result } = double.run('readFailure', { FAIL: 'cuMemcpyDtoH=700' });
    expect(result).toMatchObject({ code: 'ERR_DEVMEM_CUDA', call: 'cuMemcpyDtoH', result: 700 });
  });
});

describe('a machine without what it takes', () => {
  it('is told that its driver lacks a call', () => {
    const { result } = double.run('failure', { FAIL: 'cuMemGetHandleForAddressRange=-1' });
    expect(result).toMatchObject({ code: 'ERR_DEVMEM_CUDA', call: 'dlopen' });
    const { message } = result as { message: string };
    expect(message).toContain('cuMemGetHandleForAddressRange for CUDA 11.7');
    expect(message).toContain("Install NVIDIA's driver");
  });

  it('is told that there is no such device', () => {
    const { result } = double.run('failure', { DEVICES: '1' });
    expect(result).toMatchObject({ cudaError: 'CUDA_ERROR_INVALID_DEVICE' });
    expect((result as { message: string }).message).toContain('probeMemory()');
  });

  it('is told of the kernel modules that make dma-bufs', () => {
    const { result, calls } = double.run('failure', { ATTRIBUTES: '124=0' });
    expect(result).toMatchObject({ code: 'ERR_DEVMEM_CUDA', call: 'cuDeviceGetAttribute' });
    const { message } = result as { message: string };
    expect(message).toContain('CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED');
    expect(message).toMatch(/open kernel modules/);
    expect(calls).toEqual(['cuInit(0)']);
  });
});

describe('probeMemory()', () => {
  it('lists the GPUs, and makes no context', () => {
    const { result, calls } = double.run('probe', { ATTRIBUTES: '117=3,118=100' });
    expect(result).toMatchObject({ available: true, driverVersion: '12.4' });
    expect((result as { devices: unknown[] }).devices).toHaveLength(2);
    expect((result as { devices: unknown[] }).devices[1]).toEqual({
      device: 1,
      name: 'Double 1',
      pciAddress: '0000:a1:00.0',
      totalBytes: 80 * 2 ** 30,
      dmaBufSupported: true,
      gpuDirectRdmaSupported: true,
      flushWritesOptions: 3,
      writesOrdering: 100,
      coherent: false,
    });
    expect(calls).toEqual(['cuInit(0)']);
  });

  it.for([
    [{ FAIL: 'cuInit=100' }, 'CUDA_ERROR_NO_DEVICE'],
    [{ DEVICES: '0' }, 'no device'],
    [{ ATTRIBUTES: '124=0' }, 'open kernel modules'],
  ] as const)('says why memory of GPUs is not available: %o', ([settings, reason]) => {
    const { result } = double.run('probe', settings);
    expect(result).toMatchObject({ available: false });
    expect((result as { reason: string }).reason).toContain(reason);
  });
});

const cuda = (await probeMemory()).find((probe) => probe.type === 'cuda');
const hasGpu = cuda?.available === true;

describe("this machine's CUDA", () => {
  itWhere(hasGpu, 'no GPU with dma-bufs: a machine that has one enables this')(
    'allocates, exports, writes and reads',
    async () => {
      const { result, stderr } = runScenario('copy');
      expect({ result, stderr }).toMatchObject({ result: COPIED, stderr: '' });
    },
  );

  itWhere(hasGpu, 'no GPU with dma-bufs: a machine that has one enables this')(
    'is left in order at the end of a process and of a worker',
    async () => {
      for (const scenario of ['abandon', 'exit', 'worker', 'collect']) {
        const { status, stderr } = runScenario(scenario);
        expect({ scenario, status, stderr }).toEqual({ scenario, status: 0, stderr: '' });
      }
    },
  );

  itWhere(!hasGpu, 'this machine has a GPU with dma-bufs')(
    'is said to be missing, with what to do',
    async () => {
      const { result } = runScenario('failure');
      expect(result).toMatchObject({ name: 'CudaError', code: 'ERR_DEVMEM_CUDA' });
      expect((result as { message: string }).message.length).toBeGreaterThan(60);
      expect(cuda?.reason).toContain('. ');
    },
  );
});
