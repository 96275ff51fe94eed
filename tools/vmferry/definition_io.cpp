// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/definition_io.h"

#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <span>
#include <vector>

#include "lib/core/unique_fd.h"
#include "lib/store/file/file_io.h"
#include "tools/vmferry/surroundings.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

/// A file without a name that a child can open as /dev/fd/N.
UniqueFd memory_file(const std::string& text) {
  UniqueFd fd(::memfd_create("vmferry-definition", 0));
  if (!fd.valid()) {
    throw errno_error(errno, "a file in memory", "create");
  }
  pwrite_all(fd.get(), 0, std::as_bytes(std::span(text)), "a file in memory");
  return fd;
}

/// Runs a program on our standard output and error; its exit status, or -1 for a signal.
int run_program(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) {
    argv.push_back(argument.data());
  }
  argv.push_back(nullptr);
  // It shall not inherit what we do with signals.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  const sigset_t defaults = default_signals_of_children();
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, argv[0], nullptr, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    throw errno_error(error, arguments.front(), "run");
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      throw errno_error(errno, arguments.front(), "wait");
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

void print_diff(const std::string& name, const std::string& before, const std::string& after) {
  const UniqueFd from = memory_file(before);
  const UniqueFd to = memory_file(after);
  const int status =
      run_program({"diff", "-u", "--color=auto", "--label", name, "--label", name + " (rewritten)",
                   fmt::format("/dev/fd/{}", from.get()), fmt::format("/dev/fd/{}", to.get())});
  if (status == 0 || status == 1) {
    return;  // 1: they differ
  }
  throw Error({.kind = ErrorKind::kIo,
               .object = "diff",
               .action = {},
               .cause = "could not print the differences"});
}

}  // namespace vmferry::cli
