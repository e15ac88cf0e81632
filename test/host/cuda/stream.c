/*
 * The double's streams: what is put on one is done by a thread of its own, later, and
 * with DOUBLE_DELAY later still. The descriptors, the source and the target are looked
 * at then, so what was freed or written anew too early is noticed.
 */
#include "double.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_EVENTS = 256, MAX_STREAMS = 32, NON_BLOCKING = 1 };

struct event {
  int live;
  int pending; /* recordings that the stream has not come to */
};

struct work {
  enum { UPLOAD, KERNEL, EVENT } kind;
  uint64_t target;
  const void *source;
  size_t size; /* bytes, or of pieces */
  uint64_t pieces;
  unsigned blocks, threads;
  int faulty;
  struct event *event;
  struct work *next;
};

struct stream {
  int live, ending, busy;
  struct work *first, **last;
  pthread_t thread;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct event events[MAX_EVENTS];
static struct stream streams[MAX_STREAMS];
static unsigned launches;

static long setting(const char *name) {
  const char *value = getenv(name);
  return value == NULL ? 0 : atol(value);
}

/* Up to DOUBLE_DELAY microseconds. */
static void delay(unsigned *seed) {
  long longest = setting("DOUBLE_DELAY");
  if (longest == 0) return;
  struct timespec time = {0, rand_r(seed) % longest * 1000};
  nanosleep(&time, NULL);
}

static void upload(const struct work *work) {
  void *target = reach(work->target, work->size);
  if (target == NULL || !is_pinned(work->source)) return set_sticky(ILLEGAL_ADDRESS);
  memcpy(target, work->source, work->size);
}

/* With the CPU's addresses, each of which was found to be reachable. */
static int translate(const struct piece *pieces, uint32_t count, struct piece *translated) {
  for (uint32_t i = 0; i < count; i++) {
    void *source = reach(pieces[i].source, pieces[i].size);
    void *target = reach(pieces[i].target, pieces[i].size);
    if (source == NULL || target == NULL) return 0;
    translated[i] = (struct piece){(uint64_t)source, (uint64_t)target, pieces[i].size, 0};
  }
  return 1;
}

static void kernel(const struct work *work) {
  uint32_t count = work->size;
  const struct piece *pieces = reach(work->pieces, count * sizeof(*pieces));
  struct piece *translated = malloc(count * sizeof(*translated));
  if (work->faulty || pieces == NULL || !translate(pieces, count, translated))
    set_sticky(ILLEGAL_ADDRESS);
  else
    run_kernel(translated, count, work->blocks, work->threads);
  free(translated);
}

static void perform(struct work *work, unsigned *seed) {
  if (work->kind != EVENT) delay(seed);
  if (sticky() == 0 && work->kind == UPLOAD) upload(work);
  if (sticky() == 0 && work->kind == KERNEL) kernel(work);
}

static void *run(void *argument) {
  struct stream *stream = argument;
  unsigned seed = setting("DOUBLE_SEED") + 1;
  pthread_mutex_lock(&lock);
  for (;;) {
    while (stream->first == NULL && !stream->ending) pthread_cond_wait(&changed, &lock);
    struct work *work = stream->first;
    if (work == NULL) break;
    stream->first = work->next;
    if (work->next == NULL) stream->last = &stream->first;
    stream->busy = 1;
    pthread_mutex_unlock(&lock);
    perform(work, &seed);
    pthread_mutex_lock(&lock);
    stream->busy = 0;
    if (work->kind == EVENT) work->event->pending--;
    free(work);
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

static struct stream *live_stream(void *handle) {
  for (int i = 0; i < MAX_STREAMS; i++)
    if (&streams[i] == handle && streams[i].live) return &streams[i];
  return NULL;
}

static struct event *live_event(void *handle) {
  for (int i = 0; i < MAX_EVENTS; i++)
    if (&events[i] == handle && events[i].live) return &events[i];
  return NULL;
}

static int idle(const struct stream *stream) { return stream->first == NULL && !stream->busy; }

static int put(void *handle, struct work work) {
  struct work *copy = malloc(sizeof(*copy));
  *copy = work;
  copy->next = NULL;
  pthread_mutex_lock(&lock);
  struct stream *stream = live_stream(handle);
  if (stream != NULL) {
    *stream->last = copy;
    stream->last = &copy->next;
    if (work.kind == EVENT) work.event->pending++;
    pthread_cond_broadcast(&changed);
  } else {
    free(copy);
  }
  pthread_mutex_unlock(&lock);
  return stream == NULL ? INVALID_HANDLE : 0;
}

int cuStreamCreate(void **stream, unsigned flags) {
  ENTER_CALL();
  if (flags != NON_BLOCKING) return INVALID_VALUE;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < MAX_STREAMS; i++) {
    if (streams[i].live) continue;
    streams[i] = (struct stream){.live = 1, .last = &streams[i].first};
    pthread_create(&streams[i].thread, NULL, run, &streams[i]);
    *stream = &streams[i];
    break;
  }
  pthread_mutex_unlock(&lock);
  record("cuStreamCreate\n");
  return 0;
}

int cuStreamDestroy(void *handle) {
  if (current_context() == NULL) return INVALID_CONTEXT;
  pthread_mutex_lock(&lock);
  struct stream *stream = live_stream(handle);
  int busy = stream != NULL && !idle(stream);
  if (stream != NULL) stream->ending = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  if (stream == NULL) return INVALID_HANDLE;
  pthread_join(stream->thread, NULL);
  stream->live = 0;
  record("cuStreamDestroy, %s\n", busy ? "busy" : "idle");
  return sticky();
}

int cuStreamSynchronize(void *handle) {
  int told = failure(__func__);
  if (told != 0) return told;
  pthread_mutex_lock(&lock);
  struct stream *stream = live_stream(handle);
  while (stream != NULL && !idle(stream)) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  return stream == NULL ? INVALID_HANDLE : sticky();
}

int cuEventCreate(void **event, unsigned flags) {
  ENTER_CALL();
  if (flags != 3) return INVALID_VALUE; /* the waiting thread sleeps, and there are no times */
  int result = OUT_OF_MEMORY;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < MAX_EVENTS && result != 0; i++) {
    if (events[i].live) continue;
    events[i] = (struct event){.live = 1};
    *event = &events[i];
    result = 0;
  }
  pthread_mutex_unlock(&lock);
  return result;
}

int cuEventDestroy(void *handle) {
  if (current_context() == NULL) return INVALID_CONTEXT;
  pthread_mutex_lock(&lock);
  struct event *event = live_event(handle);
  int pending = event != NULL && event->pending > 0;
  if (event != NULL) event->live = 0;
  pthread_mutex_unlock(&lock);
  if (pending) record("cuEventDestroy, pending\n");
  return event == NULL ? INVALID_HANDLE : sticky();
}

int cuEventRecord(void *event, void *stream) {
  ENTER_CALL();
  if (live_event(event) == NULL) return INVALID_HANDLE;
  return put(stream, (struct work){.kind = EVENT, .event = event});
}

int cuEventSynchronize(void *handle) {
  int told = failure(__func__);
  if (told != 0) return told;
  pthread_mutex_lock(&lock);
  struct event *event = live_event(handle);
  while (event != NULL && event->pending > 0) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  return event == NULL ? INVALID_HANDLE : sticky();
}

int cuMemcpyHtoDAsync(uint64_t target, const void *source, size_t size, void *stream) {
  ENTER_CALL();
  /* Of pageable memory CUDA would make a copy first, and wait. */
  if (size == 0 || !is_pinned(source) || reach(target, size) == NULL) return INVALID_VALUE;
  struct work work = {.kind = UPLOAD, .target = target, .source = source, .size = size};
  return put(stream, work);
}

int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                   void *stream, void **parameters, void **extra) {
  ENTER_CALL();
  if (function == NULL) return INVALID_HANDLE;
  if (grid_x == 0 || grid_y != 1 || grid_z != 1 || block_x == 0 || block_x > 1024 ||
      block_y != 1 || block_z != 1 || shared != 0 || extra != NULL)
    return INVALID_VALUE;
  struct work work = {.kind = KERNEL, .blocks = grid_x, .threads = block_x};
  work.pieces = *(uint64_t *)parameters[0];
  work.size = *(uint32_t *)parameters[1];
  record("cuLaunchKernel, %zu pieces\n", work.size);
  work.faulty = __atomic_add_fetch(&launches, 1, __ATOMIC_RELAXED) == setting("DOUBLE_FAULT");
  return put(stream, work);
}

struct module {
  char *text;
};

int cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options,
                       void **values) {
  ENTER_CALL();
  (void)options;
  (void)values;
  if (count != 0) return INVALID_VALUE;
  if (strstr(image, ".version ") == NULL || strstr(image, ".target ") == NULL) return INVALID_PTX;
  struct module *made = malloc(sizeof(*made));
  made->text = strdup(image);
  *module = made;
  record("cuModuleLoadDataEx\n");
  return 0;
}

int cuModuleUnload(void *handle) {
  struct module *module = handle;
  if (current_context() == NULL) return INVALID_CONTEXT;
  record("cuModuleUnload\n");
  free(module->text);
  free(module);
  return sticky();
}

int cuModuleGetFunction(void **function, void *handle, const char *name) {
  ENTER_CALL();
  struct module *module = handle;
  char entry[128] = ".visible .entry ";
  strncat(entry, name, sizeof(entry) - strlen(entry) - 2);
  strcat(entry, "(");
  *function = strstr(module->text, entry);
  return *function == NULL ? NOT_FOUND : 0;
}
