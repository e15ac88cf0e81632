#!/usr/bin/env python3
"""Receives tensors from a Node.js process that hands them on with devmem-tcp's handOff().

    node examples/serve-tensors.mjs /tmp/tensors.sock
    python3 examples/receive_tensors.py /tmp/tensors.sock

prints what came, with a checksum. As a module:

    for tensor in Consumer('/tmp/tensors.sock'):
        use(tensor.value())
        tensor.done()

Nothing is copied: value() is a view of the memory that the other process has, as a tensor
of PyTorch where that is installed, else an array of NumPy, else a memoryview. Memory of a GPU
is a tensor of PyTorch, or an object with __cuda_array_interface__ (CuPy, Numba, JAX take it).

Needs Linux and Python 3.9. The protocol is in docs/hand-off.md.
"""

import base64
import ctypes
import fcntl
import json
import mmap
import os
import socket
import struct
import sys
import zlib

try:
    import torch
except ImportError:
    torch = None
try:
    import numpy
except ImportError:
    numpy = None

MAX_BYTES = 4096

# By the names of PyTorch: how a memoryview and __cuda_array_interface__ name the elements.
# Where they know no such type, the bits are given as integers, or as bytes (None).
ELEMENTS = {
    'bool': ('?', 'b1'),
    'uint8': ('B', 'u1'),
    'int8': ('b', 'i1'),
    'uint16': ('H', 'u2'),
    'int16': ('h', 'i2'),
    'uint32': ('I', 'u4'),
    'int32': ('i', 'i4'),
    'uint64': ('Q', 'u8'),
    'int64': ('q', 'i8'),
    'float8_e4m3fn': ('B', 'u1'),
    'float8_e5m2': ('B', 'u1'),
    'float16': (None, 'f2'),
    'bfloat16': ('h', 'i2'),
    'float32': ('f', 'f4'),
    'float64': ('d', 'f8'),
    'complex64': (None, 'c8'),
    'complex128': (None, 'c16'),
}


class Consumer:
    """The consuming end of a connection: iterate it, once."""

    def __init__(self, path):
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(path)
        # Each memory comes with every tensor in it; it is mapped once.
        self._memories = {}

    def __iter__(self):
        try:
            while True:
                fds = []
                try:
                    content = self._hear(fds)
                    if content is None:
                        return
                    memory = self._memory(content, fds)
                finally:
                    for fd in fds:
                        os.close(fd)
                yield Tensor(self, memory, content)
        finally:
            self.close()

    def close(self):
        """Closes the memories first: that the connection ends tells that they are closed."""
        for memory in self._memories.values():
            memory.close()
        self._memories.clear()
        self._connection.close()

    def say(self, content):
        body = json.dumps(content).encode()
        self._connection.sendall(struct.pack('>I', len(body)) + body)

    def _hear(self, fds):
        """The next message; None at the end. Its descriptor is put into fds."""
        header = self._read(4, fds)
        if header == b'':
            return None
        (size,) = struct.unpack('>I', header)
        if size > MAX_BYTES:
            raise ValueError(f'a message of {size} bytes')
        return json.loads(self._read(size, fds))

    def _read(self, size, fds):
        # Never past the message, so that a descriptor is that of its own.
        data = b''
        while len(data) < size:
            piece, new, _, _ = socket.recv_fds(
                self._connection, size - len(data), 1, socket.MSG_CMSG_CLOEXEC
            )
            fds += new
            if piece == b'' and data == b'':
                return b''
            if piece == b'':
                raise EOFError('the connection ended in the midst of a message')
            data += piece
        return data

    def _memory(self, content, fds):
        kind = content['type']
        if kind == 'cuda-ipc':
            key = content['handle']
        elif kind in ('memfd', 'dma-buf'):
            if len(fds) != 1:
                raise ValueError(f'a {kind} without its descriptor')
            found = os.fstat(fds[0])
            key = (found.st_dev, found.st_ino)
        else:
            raise ValueError(f'memory of the unknown type {kind!r}')
        if key not in self._memories:
            if kind == 'cuda-ipc':
                self._memories[key] = CudaMemory(content)
            else:
                self._memories[key] = HostMemory(os.dup(fds[0]), content)
        return self._memories[key]


class Tensor:
    """A tensor that is this process's to use until it is done()."""

    def __init__(self, consumer, memory, content):
        self._consumer = consumer
        self._memory = memory
        self.id = content['id']
        self.type = content['type']
        self.dtype = content['dtype']
        self.shape = tuple(content['shape'])
        self.offset = content['offset']
        self.length = content['length']
        memory.begin()

    def value(self):
        """The tensor, in the memory itself. Not to be used once it is done()."""
        return self._memory.value(self)

    def to_bytes(self):
        """A copy in memory of this process."""
        return self._memory.to_bytes(self)

    def done(self):
        """Has the other process write to the memory again, or free it."""
        self._memory.end()
        self._consumer.say({'type': 'done', 'id': self.id})


class HostMemory:
    """Memory behind a descriptor: a memfd or a dma-buf."""

    # linux/dma-buf.h: DMA_BUF_IOCTL_SYNC, and flags for reading and writing
    SYNC, START, END = 0x40086200, 3, 3 | 4

    def __init__(self, fd, content):
        self._fd = fd
        self._is_dma_buf = content['type'] == 'dma-buf'
        self._mapping = mmap.mmap(fd, content['size'])

    def begin(self):
        self._sync(self.START)

    def end(self):
        self._sync(self.END)

    def _sync(self, flags):
        if self._is_dma_buf:
            fcntl.ioctl(self._fd, self.SYNC, struct.pack('Q', flags))

    def view(self, tensor):
        return memoryview(self._mapping)[tensor.offset : tensor.offset + tensor.length]

    def value(self, tensor):
        view = self.view(tensor)
        if torch is not None and tensor.length > 0:
            return torch.frombuffer(view, dtype=getattr(torch, tensor.dtype)).reshape(tensor.shape)
        form, name = ELEMENTS[tensor.dtype]
        if numpy is not None:
            return numpy.frombuffer(view, dtype=name).reshape(tensor.shape)
        if form is None or tensor.length == 0:
            return view
        return view.cast(form, tensor.shape)

    def to_bytes(self, tensor):
        return bytes(self.view(tensor))

    def close(self):
        os.close(self._fd)
        # Whoever still has a view of it keeps it mapped.


class CudaMemory:
    """Memory of a GPU that the other process allocated."""

    LAZY_ENABLE_PEER_ACCESS = 1

    def __init__(self, content):
        cuda = Cuda.of(content['device']['pciAddress'])
        handle = IpcHandle.from_buffer_copy(base64.b64decode(content['handle']))
        self._cuda = cuda
        self._address = ctypes.c_uint64()
        cuda.open(ctypes.byref(self._address), handle, self.LAZY_ENABLE_PEER_ACCESS)

    def begin(self):
        pass

    def end(self):
        """What was set to work on the memory has to have ended."""
        if torch is not None:
            torch.cuda.synchronize(self._cuda.device)

    def value(self, tensor):
        array = CudaArray(self._address.value + tensor.offset, tensor)
        if torch is None:
            return array
        # Without a device it would be copied to the CPU.
        bits = torch.as_tensor(array, device=f'cuda:{self._cuda.device}')
        return bits.view(getattr(torch, tensor.dtype))

    def to_bytes(self, tensor):
        target = (ctypes.c_char * tensor.length)()
        if tensor.length > 0:
            self._cuda.copy(target, self._address.value + tensor.offset, tensor.length)
        return bytes(target)

    def close(self):
        self._cuda.close(self._address)


class CudaArray:
    """Memory of a GPU for whoever knows the CUDA array interface."""

    def __init__(self, address, tensor):
        name = ELEMENTS[tensor.dtype][1]
        order = '|' if name[1:] == '1' else '<' if sys.byteorder == 'little' else '>'
        self.__cuda_array_interface__ = {
            'version': 3,
            'shape': tensor.shape,
            'typestr': order + name,
            'data': (address, False),
        }


class IpcHandle(ctypes.Structure):
    _fields_ = [('reserved', ctypes.c_ubyte * 64)]


class Cuda:
    """A GPU by the driver's own library, in the context that PyTorch and others use."""

    _known = {}

    @classmethod
    def of(cls, pci_address):
        if pci_address not in cls._known:
            cls._known[pci_address] = cls(pci_address)
        return cls._known[pci_address]

    def __init__(self, pci_address):
        self._library = ctypes.CDLL('libcuda.so.1')
        self._error_name = self._function(
            'cuGetErrorName', 6000, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)
        )
        self._call('cuInit', 2000, ctypes.c_uint)(0)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        by_address = self._call(
            'cuDeviceGetByPCIBusId', 4010, ctypes.c_void_p, ctypes.c_char_p
        )
        by_address(ctypes.byref(device), pci_address.encode())
        retain = self._call('cuDevicePrimaryCtxRetain', 7000, ctypes.c_void_p, ctypes.c_int)
        retain(ctypes.byref(context), device)
        self._call('cuCtxSetCurrent', 4000, ctypes.c_void_p)(context)
        self.device = device.value
        self.open = self._call(
            'cuIpcOpenMemHandle', 11000, ctypes.c_void_p, IpcHandle, ctypes.c_uint
        )
        self.close = self._call('cuIpcCloseMemHandle', 4010, ctypes.c_uint64)
        self.copy = self._call(
            'cuMemcpyDtoH', 3020, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t
        )

    def _function(self, name, version, *types):
        """The driver's function of that name, as CUDA of that version declares it."""
        function = ctypes.c_void_p()
        find = self._library.cuGetProcAddress_v2
        result = find(
            name.encode(), ctypes.byref(function), version, ctypes.c_uint64(0), None
        )
        if result != 0 or not function.value:
            raise RuntimeError(f'the driver has no {name}')
        return ctypes.CFUNCTYPE(ctypes.c_int, *types)(function.value)

    def _call(self, name, version, *types):
        function = self._function(name, version, *types)

        def call(*args):
            result = function(*args)
            if result != 0:
                text = ctypes.c_char_p(b'')
                self._error_name(result, ctypes.byref(text))
                raise RuntimeError(f'{name}: {(text.value or b"").decode()} ({result})')

        return call


def refuse(why):
    """Ends the program for what its argument says."""
    print(why, file=sys.stderr)
    sys.exit(2)


def main():
    if len(sys.argv) != 2:
        refuse(f'usage: {sys.argv[0]} SOCKET')
    path = sys.argv[1]
    try:
        consumer = Consumer(path)
    except OSError as error:
        refuse(f'{path}: {error.strerror or error}')
    for tensor in consumer:
        checksum = zlib.crc32(tensor.to_bytes())
        kind = type(tensor.value()).__name__
        print(
            f'{tensor.id}: {tensor.dtype} {list(tensor.shape)}, crc32 {checksum:08x}, '
            f'{kind} in {tensor.type}',
            flush=True,
        )
        tensor.done()


if __name__ == '__main__':
    main()
