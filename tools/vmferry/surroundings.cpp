// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/surroundings.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

namespace vmferry::cli {
namespace {

constexpr int kIgnored[] = {SIGPIPE, SIGXFSZ, SIGIO};
constexpr size_t kSmallStack = size_t{1} << 20;
constexpr int kSharedHeaps = 4;

bool is_limited(int resource) {
  rlimit limit = {};
  return ::getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

void live_thriftily() {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) {
    return;
  }
  size_t usual = 0;
  if (pthread_attr_getstacksize(&attributes, &usual) == 0 && usual > kSmallStack &&
      pthread_attr_setstacksize(&attributes, kSmallStack) == 0) {
    pthread_setattr_default_np(&attributes);
  }
  pthread_attr_destroy(&attributes);
  ::mallopt(M_ARENA_MAX, kSharedHeaps);
}

/// Between fork() and exec(): only calls that a signal handler may make.
void give_back_signals() {
  for (const int signal : kIgnored) {
    ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

#ifdef __GLIBC__
// The dynamic loader calls these before the constructors of shared libraries.
using Start = void();
[[gnu::section(".preinit_array"), gnu::used]] Start* first_of_all = occupy_standard_descriptors;
#endif

}  // namespace

void occupy_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) {
      continue;
    }
    // The lowest that is free is this one. O_PATH neither reads nor writes, and / is always there.
    if (::open("/", O_PATH) != fd) {
      ::_exit(1);
    }
  }
}

void settle_in() {
  for (const int signal : kIgnored) {
    ::signal(signal, SIG_IGN);
  }
  ::signal(SIGCHLD, SIG_DFL);
  ::pthread_atfork(nullptr, nullptr, give_back_signals);
  // RLIMIT_DATA counts stacks and heaps, too (getrlimit(2)).
  if (is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA)) {
    live_thriftily();
  }
}

sigset_t default_signals_of_children() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kIgnored) {
    sigaddset(&set, signal);
  }
  return set;
}

}  // namespace vmferry::cli
