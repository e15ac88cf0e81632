/*
 * A test double of NVIDIA's libcuda.so.1: the few calls that this package makes, over
 * host memory. It is not CUDA; it shows which calls are made, in which order and in
 * which thread's context, and what comes of each of them failing.
 *
 * DOUBLE_LOG: a file to which each call that changes something adds a line.
 * DOUBLE_FAIL: CALL=RESULT has that call fail, e.g. cuMemAlloc=2; result -1: not found.
 * DOUBLE_ATTRIBUTES: ATTRIBUTE=VALUE,… instead of the values below.
 * DOUBLE_DEVICES: how many; default 2.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_ALLOCATIONS = 16, CONTEXT = 0x1000 };

struct allocation {
  char *memory;
  size_t size;
  int file;
};

static struct allocation allocations[MAX_ALLOCATIONS];
static int retained;
static int initialized;
static __thread void *current;

static void record(const char *format, ...) {
  const char *path = getenv("DOUBLE_LOG");
  if (path == NULL) return;
  FILE *file = fopen(path, "a");
  va_list arguments;
  va_start(arguments, format);
  vfprintf(file, format, arguments);
  va_end(arguments);
  fclose(file);
}

/* The result that the call is to fail with, or 0. */
static int failure(const char *call) {
  const char *wanted = getenv("DOUBLE_FAIL");
  size_t length = strlen(call);
  if (wanted == NULL || strncmp(wanted, call, length) != 0 || wanted[length] != '=') return 0;
  return atoi(wanted + length + 1);
}

#define FAIL_IF_TOLD()                  \
  do {                                  \
    int result = failure(__func__);     \
    if (result != 0) return result;     \
  } while (0)

static struct allocation *find(uint64_t address) {
  for (int i = 0; i < MAX_ALLOCATIONS; i++) {
    uint64_t start = (uint64_t)allocations[i].memory;
    if (start != 0 && address >= start && address < start + allocations[i].size)
      return &allocations[i];
  }
  return NULL;
}

/* Whether a descriptor other than the double's own is open on the allocation's file. */
static int exported(const struct allocation *allocation) {
  struct stat wanted, found;
  fstat(allocation->file, &wanted);
  for (int fd = 0; fd < 1024; fd++) {
    if (fd != allocation->file && fstat(fd, &found) == 0 && found.st_ino == wanted.st_ino &&
        found.st_dev == wanted.st_dev)
      return 1;
  }
  return 0;
}

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
  if (!initialized) return 3;
  cuDeviceGetCount(&count);
  if (ordinal >= count) return 101;
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
  retained++;
  return 0;
}

static int cuDevicePrimaryCtxRelease(int device) {
  record("cuDevicePrimaryCtxRelease(%d) retained %d\n", device - 40, --retained);
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

static int cuMemAlloc(uint64_t *address, size_t size) {
  FAIL_IF_TOLD();
  if (current == NULL) return 201;
  for (int i = 0; i < MAX_ALLOCATIONS; i++) {
    if (allocations[i].memory != NULL) continue;
    int file = memfd_create("cuda-double", MFD_CLOEXEC);
    if (ftruncate(file, size) < 0) return 2;
    allocations[i].memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    allocations[i].size = size;
    allocations[i].file = file;
    *address = (uint64_t)allocations[i].memory;
    record("cuMemAlloc(%zu)\n", size);
    return 0;
  }
  return 2;
}

static int cuMemFree(uint64_t address) {
  struct allocation *allocation = find(address);
  if (current == NULL) return 201;
  if (allocation == NULL) return 1;
  record("cuMemFree, dma-buf %s\n", exported(allocation) ? "open" : "closed");
  munmap(allocation->memory, allocation->size);
  close(allocation->file);
  allocation->memory = NULL;
  return 0;
}

static int cuMemcpyDtoH(void *target, uint64_t source, size_t size) {
  FAIL_IF_TOLD();
  if (current == NULL) return 201;
  if (find(source) == NULL) return 1;
  memcpy(target, (void *)source, size);
  return 0;
}

static int cuMemcpyHtoD(uint64_t target, const void *source, size_t size) {
  FAIL_IF_TOLD();
  if (current == NULL) return 201;
  if (find(target) == NULL) return 1;
  memcpy((void *)target, source, size);
  return 0;
}

static int cuMemGetHandleForAddressRange(void *handle, uint64_t address, size_t size, int type,
                                         unsigned long long flags) {
  FAIL_IF_TOLD();
  struct allocation *allocation = find(address);
  if (current == NULL) return 201;
  if (allocation == NULL || size != allocation->size || type != 1) return 1;
  *(int *)handle = dup(allocation->file);
  record("cuMemGetHandleForAddressRange(%zu, flags %llu)\n", size, flags);
  return 0;
}

static int cuFlushGPUDirectRDMAWrites(int target, int scope) {
  FAIL_IF_TOLD();
  if (current == NULL) return 201;
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
    CALL(cuDeviceTotalMem, 3020),
    CALL(cuDeviceGetAttribute, 2000),
    CALL(cuDevicePrimaryCtxRetain, 7000),
    CALL(cuDevicePrimaryCtxRelease, 11000),
    CALL(cuCtxGetCurrent, 4000),
    CALL(cuCtxSetCurrent, 4000),
    CALL(cuMemAlloc, 3020),
    CALL(cuMemFree, 3020),
    CALL(cuMemcpyDtoH, 3020),
    CALL(cuMemcpyHtoD, 3020),
    CALL(cuMemGetHandleForAddressRange, 11070),
    CALL(cuFlushGPUDirectRDMAWrites, 11030),
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
    if (version != calls[i].version || failure(name) == -1) return 500;
    *function = calls[i].function;
    return 0;
  }
  return 500;
}
