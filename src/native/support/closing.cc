#include "support/closing.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>

#include <memory>
#include <utility>

namespace devmem {

namespace {

using Fds = std::vector<UniqueFd>;

constexpr size_t kStackSize = 128 << 10;

void* Close(void* argument) {
  std::unique_ptr<Fds> fds(static_cast<Fds*>(argument));
  for (UniqueFd& fd : *fds) fd.Reset();
  return nullptr;
}

// Node unloads the addon with the last thread that has it (a worker's, say), and a
// thread that still waits in it would return into nothing.
void StayLoaded() {
  Dl_info info = {};
  if (dladdr(reinterpret_cast<void*>(&Close), &info) == 0) return;
  dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

bool StartThread(void* (*run)(void*), void* argument) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackSize);
  // Signals are for the threads that expect them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  int error = pthread_create(&thread, &attributes, run, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return error == 0;
}

}  // namespace

void CloseElsewhere(Fds fds) {
  if (fds.empty()) return;
  StayLoaded();
  auto argument = std::make_unique<Fds>(std::move(fds));
  // Without a thread they are closed here.
  if (StartThread(Close, argument.get())) argument.release();
}

}  // namespace devmem
