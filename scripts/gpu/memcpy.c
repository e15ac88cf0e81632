/*
 * memcpy DEVICE BYTES TIMES: prints how many bytes a second cuMemcpyDtoD copies from one
 * place in a GPU's memory to another. What the gather kernel is compared with.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int (*get)(const char *name, void *function, int version, uint64_t flags, int *status);

/* The result of a call, found by its name and the version of CUDA that brought it. */
#define CALL(name, version, types, ...)                                            \
  do {                                                                             \
    int(*call) types = NULL;                                                       \
    int result = get(name, &call, version, 0, NULL);                               \
    if (result == 0) result = call(__VA_ARGS__);                                   \
    if (result != 0) return fprintf(stderr, "%s: CUDA error %d\n", name, result), 1; \
  } while (0)

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "memcpy DEVICE BYTES TIMES\n"), 1;
  size_t size = strtoull(argv[2], NULL, 10);
  int times = atoi(argv[3]);

  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == NULL) return fprintf(stderr, "%s\n", dlerror()), 1;
  *(void **)&get = dlsym(library, "cuGetProcAddress_v2");
  if (get == NULL) return fprintf(stderr, "%s\n", dlerror()), 1;

  int device;
  void *context;
  uint64_t from, to;
  CALL("cuInit", 2000, (unsigned), 0);
  CALL("cuDeviceGet", 2000, (int *, int), &device, atoi(argv[1]));
  CALL("cuDevicePrimaryCtxRetain", 7000, (void **, int), &context, device);
  CALL("cuCtxSetCurrent", 4000, (void *), context);
  CALL("cuMemAlloc", 3020, (uint64_t *, size_t), &from, size);
  CALL("cuMemAlloc", 3020, (uint64_t *, size_t), &to, size);

  double start = 0;
  for (int i = -1; i < times; i++) { /* the first one warms up */
    CALL("cuMemcpyDtoD", 3020, (uint64_t, uint64_t, size_t), to, from, size);
    if (i >= 0 && i < times - 1) continue;
    CALL("cuCtxSynchronize", 2000, (void), );
    if (i < 0) start = seconds();
  }
  printf("%.0f\n", size * (double)times / (seconds() - start));
  return 0;
}
