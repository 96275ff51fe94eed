// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/mapped_scan.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mutex>

#include "lib/core/zeros.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// What the handler needs to know of the thread that it interrupts.
struct Guard {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
  sigjmp_buf back;
};

thread_local Guard* volatile active_guard = nullptr;
struct sigaction previous_action;

void on_bus_error(int signal, siginfo_t* info, void* context) {
  Guard* guard = active_guard;
  const auto* where = static_cast<const std::byte*>(info->si_addr);
  if (guard != nullptr && where >= guard->begin && where < guard->end) {
    siglongjmp(guard->back, 1);
  }
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(signal, info, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
  } else {
    // The faulting instruction runs again when we return, and now does what it would have done.
    ::sigaction(SIGBUS, &previous_action, nullptr);
  }
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &previous_action);
  });
}

class Mapping {
 public:
  Mapping(int fd, uint64_t offset, uint64_t length)
      : length_(length),
        memory_(::mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(offset))) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (valid()) ::munmap(memory_, length_);
  }
  bool valid() const { return memory_ != MAP_FAILED; }
  const std::byte* data() const { return static_cast<const std::byte*>(memory_); }

 private:
  const uint64_t length_;
  void* const memory_;
};

/// No object with a destructor may live between sigsetjmp and the jump back: is_zero has none.
/// False: the bytes could not be had.
[[gnu::noinline]] bool guarded_is_zero(Guard& guard, std::span<const std::byte> bytes, bool& zero) {
  active_guard = &guard;
  if (sigsetjmp(guard.back, 0) != 0) {
    active_guard = nullptr;
    return false;
  }
  zero = is_zero(bytes);
  active_guard = nullptr;
  return true;
}

}  // namespace

bool scan_mapped(int fd, uint64_t offset, uint64_t length, uint32_t granularity,
                 const std::string& name, std::vector<Extent>& out) {
  static const uint64_t page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  install_handler();
  const uint64_t begin = offset / page * page;
  const Mapping mapping(fd, begin, offset + length - begin);
  if (!mapping.valid()) return false;
  Guard guard;
  guard.begin = mapping.data();
  guard.end = mapping.data() + (offset + length - begin + page - 1) / page * page;

  const uint64_t end = offset + length;
  for (uint64_t at = offset; at < end;) {
    const uint64_t piece_end = std::min(end, (at | (granularity - 1)) + 1);
    bool zero = false;
    if (!guarded_is_zero(guard, {mapping.data() + (at - begin), piece_end - at}, zero)) {
      throw Error({.kind = ErrorKind::kIo,
                   .object = name,
                   .action = "read",
                   .offset = at,
                   .cause = "the medium failed, or the file was cut meanwhile (SIGBUS)",
                   .hint = "see the kernel's log (dmesg) for errors of the disk"});
    }
    append_run(out, {at, piece_end - at, zero ? ExtentKind::kZero : ExtentKind::kData});
    at = piece_end;
  }
  return true;
}

}  // namespace vmferry
