/* The double's memory: allocations of the device, pinned and registered host memory. */
#define _GNU_SOURCE
#include "double.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_RANGES = 256, DEVICEMAP = 2 };

/* No address of the CPU's has this bit. */
static const uint64_t DEVICE_BIT = 1ull << 47;

enum kind { FREE, DEVICE, PINNED, REGISTERED };

struct range {
  enum kind kind;
  char *memory;
  size_t size;
  int file;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct range ranges[MAX_RANGES];

static uint64_t device_address(const void *memory) { return (uint64_t)memory | DEVICE_BIT; }

/* The range that has all of it; `kind` FREE: of any kind. */
static struct range *find(const void *memory, size_t size, enum kind kind) {
  const char *start = memory;
  for (int i = 0; i < MAX_RANGES; i++) {
    struct range *range = &ranges[i];
    if (range->kind == FREE || (kind != FREE && range->kind != kind)) continue;
    if (start >= range->memory && start < range->memory + range->size &&
        size <= (size_t)(range->memory + range->size - start))
      return range;
  }
  return NULL;
}

static struct range *find_device(uint64_t address, size_t size, enum kind kind) {
  if ((address & DEVICE_BIT) == 0) return NULL;
  return find((void *)(address & ~DEVICE_BIT), size, kind);
}

static int add(enum kind kind, void *memory, size_t size, int file) {
  int result = OUT_OF_MEMORY;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < MAX_RANGES && result != 0; i++) {
    if (ranges[i].kind != FREE) continue;
    ranges[i] = (struct range){kind, memory, size, file};
    result = 0;
  }
  pthread_mutex_unlock(&lock);
  return result;
}

/* Takes the range that begins there out of the table. */
static int take(enum kind kind, void *memory, struct range *taken) {
  pthread_mutex_lock(&lock);
  struct range *range = find(memory, 1, kind);
  int found = range != NULL && range->memory == memory;
  if (found) {
    *taken = *range;
    range->kind = FREE;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

void *reach(uint64_t address, size_t size) {
  pthread_mutex_lock(&lock);
  int found = find_device(address, size, FREE) != NULL;
  pthread_mutex_unlock(&lock);
  return found ? (void *)(address & ~DEVICE_BIT) : NULL;
}

int is_pinned(const void *memory) {
  pthread_mutex_lock(&lock);
  int found = find(memory, 1, PINNED) != NULL || find(memory, 1, REGISTERED) != NULL;
  pthread_mutex_unlock(&lock);
  return found;
}

/* Whether a descriptor other than the double's own is open on the allocation's file. */
static int exported(const struct range *allocation) {
  struct stat wanted, found;
  fstat(allocation->file, &wanted);
  for (int fd = 0; fd < 1024; fd++) {
    if (fd != allocation->file && fstat(fd, &found) == 0 && found.st_ino == wanted.st_ino &&
        found.st_dev == wanted.st_dev)
      return 1;
  }
  return 0;
}

int file_of(uint64_t address, size_t *size) {
  int file = -1;
  pthread_mutex_lock(&lock);
  struct range *range = find_device(address, 1, DEVICE);
  if (range != NULL && device_address(range->memory) == address) {
    *size = range->size;
    file = range->file;
  }
  pthread_mutex_unlock(&lock);
  return file;
}

int attach(void *memory, size_t size, int file, uint64_t *address) {
  *address = device_address(memory);
  return add(DEVICE, memory, size, file);
}

void *detach(uint64_t address, size_t *size, int *file) {
  struct range range;
  if (!take(DEVICE, (void *)(address & ~DEVICE_BIT), &range)) return NULL;
  *size = range.size;
  *file = range.file;
  return range.memory;
}

int cuMemAlloc(uint64_t *address, size_t size) {
  ENTER_CALL();
  int file = memfd_create("cuda-double", MFD_CLOEXEC);
  if (ftruncate(file, size) < 0) return OUT_OF_MEMORY;
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED || add(DEVICE, memory, size, file) != 0) return OUT_OF_MEMORY;
  *address = device_address(memory);
  record("cuMemAlloc(%zu)\n", size);
  return 0;
}

int cuMemFree(uint64_t address) {
  struct range allocation;
  if (current_context() == NULL) return INVALID_CONTEXT;
  if (!take(DEVICE, (void *)(address & ~DEVICE_BIT), &allocation)) return INVALID_VALUE;
  record("cuMemFree, dma-buf %s\n", exported(&allocation) ? "open" : "closed");
  munmap(allocation.memory, allocation.size);
  close(allocation.file);
  return sticky();
}

int cuMemcpyDtoH(void *target, uint64_t source, size_t size) {
  ENTER_CALL();
  void *from = reach(source, size);
  if (from == NULL) return INVALID_VALUE;
  memcpy(target, from, size);
  return 0;
}

int cuMemcpyHtoD(uint64_t target, const void *source, size_t size) {
  ENTER_CALL();
  void *to = reach(target, size);
  if (to == NULL) return INVALID_VALUE;
  memcpy(to, source, size);
  return 0;
}

int cuMemcpyDtoD(uint64_t target, uint64_t source, size_t size) {
  ENTER_CALL();
  void *to = reach(target, size);
  void *from = reach(source, size);
  if (to == NULL || from == NULL) return INVALID_VALUE;
  memmove(to, from, size);
  return 0;
}

int cuMemGetHandleForAddressRange(void *handle, uint64_t address, size_t size, int type,
                                  unsigned long long flags) {
  ENTER_CALL();
  pthread_mutex_lock(&lock);
  struct range *allocation = find_device(address, size, DEVICE);
  int file = allocation != NULL && allocation->size == size ? allocation->file : -1;
  pthread_mutex_unlock(&lock);
  if (file < 0 || type != 1) return INVALID_VALUE;
  *(int *)handle = dup(file);
  record("cuMemGetHandleForAddressRange(%zu, flags %llu)\n", size, flags);
  return 0;
}

int cuMemHostAlloc(void **memory, size_t size, unsigned flags) {
  ENTER_CALL();
  void *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED || add(PINNED, made, size, flags) != 0) return OUT_OF_MEMORY;
  *memory = made;
  record("cuMemHostAlloc\n");
  return 0;
}

int cuMemFreeHost(void *memory) {
  struct range pinned;
  if (current_context() == NULL) return INVALID_CONTEXT;
  if (!take(PINNED, memory, &pinned)) return INVALID_VALUE;
  munmap(pinned.memory, pinned.size);
  record("cuMemFreeHost\n");
  return sticky();
}

int cuMemHostGetDevicePointer(uint64_t *address, void *memory, unsigned flags) {
  ENTER_CALL();
  if (flags != 0 || !is_pinned(memory)) return INVALID_VALUE;
  *address = device_address(memory);
  return 0;
}

int cuMemHostRegister(void *memory, size_t size, unsigned flags) {
  ENTER_CALL();
  if ((flags & DEVICEMAP) == 0 || (uint64_t)memory % 4096 != 0) return INVALID_VALUE;
  if (is_pinned(memory)) return ALREADY_REGISTERED;
  int result = add(REGISTERED, memory, size, -1);
  if (result == 0) record("cuMemHostRegister(%zu)\n", size);
  return result;
}

int cuMemHostUnregister(void *memory) {
  struct range registered;
  if (current_context() == NULL) return INVALID_CONTEXT;
  if (!take(REGISTERED, memory, &registered)) return NOT_REGISTERED;
  record("cuMemHostUnregister\n");
  return sticky();
}
