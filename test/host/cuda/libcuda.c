/*
 * A test double of NVIDIA's libcuda.so.1: the few calls that this package makes, over
 * host memory. It is not CUDA; it shows which calls are made, in which order and in
 * which thread's context, and what comes of each of them failing. Here are its
 * devices and contexts; memory.c, ipc.c, stream.c and kernel.cc have the rest.
 *
 * DOUBLE_LOG: a file to which each call that changes something adds a line.
 * DOUBLE_FAIL: CALL=RESULT has that call fail, e.g. cuMemAlloc=2; result -1: not found.
 *   CALL#N=RESULT: only the Nth one.
 * DOUBLE_FAULT: which kernel launch accesses memory that it must not.
 * DOUBLE_DELAY: microseconds that a stream waits at most before it does something.
 * DOUBLE_ATTRIBUTES: ATTRIBUTE=VALUE,… instead of the values below.
 * DOUBLE_DEVICES: how many; default 2.
 */
#include "double.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 0x1000 };

static int retained;
static int initialized;
static int sticky_error;
static __thread void *current;

void record(const char *format, ...) {
  const char *path = getenv("DOUBLE_LOG");
  if (path == NULL) return;
  FILE *file = fopen(path, "a");
  va_list arguments;
  va_start(arguments, format);
  vfprintf(file, format, arguments);
  va_end(arguments);
  fclose(file);
}

int failure(const char *call) {
  static int calls;
  const char *wanted = getenv("DOUBLE_FAIL");
  size_t length = strlen(call);
  if (wanted == NULL || strncmp(wanted, call, length) != 0) return 0;
  char *rest = (char *)wanted + length;
  if (*rest == '#') {
    int which = strtol(rest + 1, &rest, 10);
    if (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) != which) return 0;
  }
  return *rest == '=' ? atoi(rest + 1) : 0;
}

static int missing(const char *call) {
  const char *wanted = getenv("DOUBLE_FAIL");
  size_t length = strlen(call);
  return wanted != NULL && strncmp(wanted, call, length) == 0 && strcmp(wanted + length, "=-1") == 0;
}

int sticky(void) { return __atomic_load_n(&sticky_error, __ATOMIC_ACQUIRE); }

void set_sticky(int result) { __atomic_store_n(&sticky_error, result, __ATOMIC_RELEASE); }

void *current_context(void) { return current; }

#define FAIL_IF_TOLD()                  \
  do {                                  \
    int result = failure(__func__);     \
    if (result != 0) return result;     \
  } while (0)

static int cuInit(unsigned flags) {
  FAIL_IF_TOLD();
  record("cuInit(%u)\n", flags);
  initialized = 1;
  return 0;
}

static int cuDriverGetVersion(int *version) {
  *version = 12040;
  return 0;
}

static int cuGetErrorName(int error, const char **name) {
  switch (error) {
    case 1: *name = "CUDA_ERROR_INVALID_VALUE"; return 0;
    case 2: *name = "CUDA_ERROR_OUT_OF_MEMORY"; return 0;
    case 100: *name = "CUDA_ERROR_NO_DEVICE"; return 0;
    case 101: *name = "CUDA_ERROR_INVALID_DEVICE"; return 0;
    case 201: *name = "CUDA_ERROR_INVALID_CONTEXT"; return 0;
    case 218: *name = "CUDA_ERROR_INVALID_PTX"; return 0;
    case 500: *name = "CUDA_ERROR_NOT_FOUND"; return 0;
    case 700: *name = "CUDA_ERROR_ILLEGAL_ADDRESS"; return 0;
    case 801: *name = "CUDA_ERROR_NOT_SUPPORTED"; return 0;
    default: return 1;
  }
}

static int cuGetErrorString(int error, const char **text) {
  if (error != 2) return 1;
  *text = "out of memory";
  return 0;
}

static int cuDeviceGetCount(int *count) {
  FAIL_IF_TOLD();
  *count = getenv("DOUBLE_DEVICES") == NULL ? 2 : atoi(getenv("DOUBLE_DEVICES"));
  return 0;
}

static int cuDeviceGet(int *device, int ordinal) {
  int count;
  if (!initialized) return NOT_INITIALIZED;
  cuDeviceGetCount(&count);
  if (ordinal >= count) return INVALID_DEVICE;
  *device = ordinal + 40; /* no ordinal passes for a device */
  return 0;
}

static int cuDeviceGetName(char *name, int length, int device) {
  snprintf(name, length, "Double %d", device - 40);
  return 0;
}

static int cuDeviceGetPCIBusId(char *address, int length, int device) {
  snprintf(address, length, "0000:%02X:00.0", 0xa0 + device - 40);
  return 0;
}

static int cuDeviceGetByPCIBusId(int *device, const char *address) {
  unsigned bus;
  if (sscanf(address, "0000:%x:00.0", &bus) != 1 || bus < 0xa0) return INVALID_DEVICE;
  return cuDeviceGet(device, bus - 0xa0);
}

static int cuDeviceGetUuid(unsigned char *uuid, int device) {
  FAIL_IF_TOLD();
  for (int i = 0; i < 16; i++) uuid[i] = i * 0x10 + device - 40;
  return 0;
}

static int cuDeviceTotalMem(size_t *bytes, int device) {
  (void)device;
  *bytes = (size_t)80 << 30;
  return 0;
}

static int cuDeviceGetAttribute(int *value, int attribute, int device) {
  const char *given = getenv("DOUBLE_ATTRIBUTES");
  (void)device;
  *value = attribute == 118 ? 200 : attribute == 100 ? 0 : 1;
  while (given != NULL) {
    int name, other;
    if (sscanf(given, "%d=%d", &name, &other) == 2 && name == attribute) *value = other;
    given = strchr(given, ',');
    if (given != NULL) given++;
  }
  return 0;
}

static int cuDevicePrimaryCtxRetain(void **context, int device) {
  FAIL_IF_TOLD();
  record("cuDevicePrimaryCtxRetain(%d)\n", device - 40);
  *context = (void *)(uintptr_t)(CONTEXT + device);
  __atomic_add_fetch(&retained, 1, __ATOMIC_RELAXED);
  return 0;
}

static int cuDevicePrimaryCtxRelease(int device) {
  record("cuDevicePrimaryCtxRelease(%d) retained %d\n", device - 40,
         __atomic_sub_fetch(&retained, 1, __ATOMIC_RELAXED));
  return 0;
}

static int cuCtxGetCurrent(void **context) {
  *context = current;
  return 0;
}

static int cuCtxSetCurrent(void *context) {
  FAIL_IF_TOLD();
  current = context;
  return 0;
}

static int cuCtxSynchronize(void) { return sticky(); }

static int cuFlushGPUDirectRDMAWrites(int target, int scope) {
  FAIL_IF_TOLD();
  if (current == NULL) return INVALID_CONTEXT;
  record("cuFlushGPUDirectRDMAWrites(%d, %d)\n", target, scope);
  return 0;
}

#define CALL(name, version) {#name, version, (void *)name}

static const struct {
  const char *name;
  int version;
  void *function;
} calls[] = {
    CALL(cuInit, 2000),
    CALL(cuDriverGetVersion, 2020),
    CALL(cuGetErrorName, 6000),
    CALL(cuGetErrorString, 6000),
    CALL(cuDeviceGetCount, 2000),
    CALL(cuDeviceGet, 2000),
    CALL(cuDeviceGetName, 2000),
    CALL(cuDeviceGetPCIBusId, 4010),
    CALL(cuDeviceGetByPCIBusId, 4010),
    CALL(cuDeviceGetUuid, 11040),
    CALL(cuDeviceTotalMem, 3020),
    CALL(cuDeviceGetAttribute, 2000),
    CALL(cuDevicePrimaryCtxRetain, 7000),
    CALL(cuDevicePrimaryCtxRelease, 11000),
    CALL(cuCtxGetCurrent, 4000),
    CALL(cuCtxSetCurrent, 4000),
    CALL(cuCtxSynchronize, 2000),
    CALL(cuMemAlloc, 3020),
    CALL(cuMemFree, 3020),
    CALL(cuMemcpyDtoH, 3020),
    CALL(cuMemcpyHtoD, 3020),
    CALL(cuMemGetHandleForAddressRange, 11070),
    CALL(cuFlushGPUDirectRDMAWrites, 11030),
    CALL(cuIpcGetMemHandle, 4010),
    CALL(cuIpcOpenMemHandle, 11000),
    CALL(cuIpcCloseMemHandle, 4010),
    CALL(cuMemcpyDtoD, 3020),
    CALL(cuMemHostAlloc, 2020),
    CALL(cuMemFreeHost, 2000),
    CALL(cuMemHostGetDevicePointer, 3020),
    CALL(cuMemHostRegister, 6050),
    CALL(cuMemHostUnregister, 4000),
    CALL(cuMemcpyHtoDAsync, 3020),
    CALL(cuStreamCreate, 2000),
    CALL(cuStreamDestroy, 4000),
    CALL(cuStreamSynchronize, 2000),
    CALL(cuEventCreate, 2000),
    CALL(cuEventDestroy, 4000),
    CALL(cuEventRecord, 2000),
    CALL(cuEventSynchronize, 2000),
    CALL(cuModuleLoadDataEx, 2010),
    CALL(cuModuleUnload, 2000),
    CALL(cuModuleGetFunction, 2000),
    CALL(cuLaunchKernel, 4000),
};

/* As the driver does: the call in the prototype of the version asked for, if it is as old. */
__attribute__((visibility("default"))) int cuGetProcAddress_v2(const char *name, void **function,
                                                               int version, uint64_t flags,
                                                               int *status) {
  (void)flags;
  (void)status;
  *function = NULL;
  for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
    if (strcmp(calls[i].name, name) != 0) continue;
    if (version != calls[i].version || missing(name)) return 500;
    *function = calls[i].function;
    return 0;
  }
  return 500;
}
