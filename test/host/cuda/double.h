/* What the parts of the double share; see libcuda.c. */
#ifndef DOUBLE_H
#define DOUBLE_H

#include <stdint.h>
#include <stddef.h>

enum {
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  INVALID_DEVICE = 101,
  INVALID_CONTEXT = 201,
  INVALID_PTX = 218,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
  ALREADY_REGISTERED = 712,
  NOT_REGISTERED = 713,
};

#ifdef __cplusplus
extern "C" {
#endif

/* A line for the log. */
void record(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The result that the call is to fail with, or 0. */
int failure(const char *call);
/* The error that every call returns from then on, once the device has met one; or 0. */
int sticky(void);
void set_sticky(int result);
/* The context that is this thread's, or NULL. */
void *current_context(void);

/* Fails as told, without a context, and after an error of the device. */
#define ENTER_CALL()                                         \
  do {                                                       \
    int failed_ = failure(__func__);                         \
    if (failed_ != 0) return failed_;                        \
    if (current_context() == NULL) return INVALID_CONTEXT;   \
    if (sticky() != 0) return sticky();                      \
  } while (0)

/*
 * memory.c: memory that the device can reach. Its addresses are not the CPU's, so that
 * one that is taken for the other is noticed.
 */
/* Where the CPU has `size` bytes at a device's address; NULL where they are not all there. */
void *reach(uint64_t address, size_t size);
/* Whether the CPU's address is that of pinned memory. */
int is_pinned(const void *memory);

/* The file of the allocation that begins there, and its size; -1: there is none. */
int file_of(uint64_t address, size_t *size);
/* Makes mapped memory the device's. */
int attach(void *memory, size_t size, int file, uint64_t *address);
/* The other way round. NULL: nothing begins there. */
void *detach(uint64_t address, size_t *size, int *file);

/* kernel.cc: runs the kernel on the CPU. */
struct piece {
  uint64_t source, target;
  uint32_t size, unused;
};
void run_kernel(const struct piece *pieces, uint32_t count, unsigned blocks, unsigned threads);

/* The calls, by the names that NVIDIA gave them. */
int cuMemAlloc(uint64_t *address, size_t size);
int cuMemFree(uint64_t address);
int cuMemcpyDtoH(void *target, uint64_t source, size_t size);
int cuMemcpyHtoD(uint64_t target, const void *source, size_t size);
int cuMemcpyDtoD(uint64_t target, uint64_t source, size_t size);
int cuMemGetHandleForAddressRange(void *handle, uint64_t address, size_t size, int type,
                                  unsigned long long flags);
/* ipc.c */
struct ipc_handle {
  int magic, process, file;
  size_t size;
  char unused[64 - 24];
};
int cuIpcGetMemHandle(struct ipc_handle *handle, uint64_t address);
int cuIpcOpenMemHandle(uint64_t *address, struct ipc_handle handle, unsigned flags);
int cuIpcCloseMemHandle(uint64_t address);
int cuMemHostAlloc(void **memory, size_t size, unsigned flags);
int cuMemFreeHost(void *memory);
int cuMemHostGetDevicePointer(uint64_t *address, void *memory, unsigned flags);
int cuMemHostRegister(void *memory, size_t size, unsigned flags);
int cuMemHostUnregister(void *memory);

int cuStreamCreate(void **stream, unsigned flags);
int cuStreamDestroy(void *stream);
int cuStreamSynchronize(void *stream);
int cuEventCreate(void **event, unsigned flags);
int cuEventDestroy(void *event);
int cuEventRecord(void *event, void *stream);
int cuEventSynchronize(void *event);
int cuMemcpyHtoDAsync(uint64_t target, const void *source, size_t size, void *stream);
int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                   void *stream, void **parameters, void **extra);
int cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options,
                       void **values);
int cuModuleUnload(void *module);
int cuModuleGetFunction(void **function, void *module, const char *name);

#ifdef __cplusplus
}
#endif

#endif
