/*
 * The double's IPC: a handle names the process that has an allocation and the file that
 * the allocation is, so that another process, with a double of its own, opens it by /proc.
 */
#define _GNU_SOURCE
#include "double.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAGIC = 0x49504321 };

_Static_assert(sizeof(struct ipc_handle) == 64, "a CUipcMemHandle");

int cuIpcGetMemHandle(struct ipc_handle *handle, uint64_t address) {
  ENTER_CALL();
  memset(handle, 0, sizeof(*handle));
  handle->file = file_of(address, &handle->size);
  if (handle->file < 0) return INVALID_VALUE;
  handle->magic = MAGIC;
  handle->process = getpid();
  record("cuIpcGetMemHandle\n");
  return 0;
}

int cuIpcOpenMemHandle(uint64_t *address, struct ipc_handle handle, unsigned flags) {
  char path[64];
  (void)flags;
  ENTER_CALL();
  if (handle.magic != MAGIC) return INVALID_VALUE;
  if (handle.process == getpid()) return INVALID_CONTEXT; /* as the driver does */
  snprintf(path, sizeof(path), "/proc/%d/fd/%d", handle.process, handle.file);
  int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return INVALID_VALUE;
  void *memory = mmap(NULL, handle.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) return INVALID_VALUE;
  record("cuIpcOpenMemHandle(%zu)\n", handle.size);
  return attach(memory, handle.size, file, address);
}

int cuIpcCloseMemHandle(uint64_t address) {
  size_t size;
  int file;
  void *memory = detach(address, &size, &file);
  if (memory == NULL) return INVALID_VALUE;
  munmap(memory, size);
  close(file);
  record("cuIpcCloseMemHandle\n");
  return 0;
}
