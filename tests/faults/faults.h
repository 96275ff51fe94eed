// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>

// Faults on purpose: libvmferry-faults.so, put before a program with LD_PRELOAD, stands between it
// and libc, librbd and librados. It counts the calls that the program makes, and lets the n-th of a
// name fail, wait, or be the last thing that the process does.
//
// VMFERRY_FAULT="CALL:N:ACTION[:ARGUMENT];..."
//   CALL    As C names it, without the 64 (pwrite, renameat2, rbd_create4), or * for any. What is
//           asked of fcntl, ioctl, lseek and fallocate belongs to the name: fcntl.F_OFD_SETLK,
//           ioctl.FICLONERANGE, lseek.SEEK_DATA, fallocate.PUNCH_HOLE. The start of a std::thread
//           is 'thread'.
//   N       1 is the first. "3+": the third and all that follow.
//   ACTION  kill, kill-after          SIGKILL before the call, or when it returns
//           kill-inside:K             SIGKILL instead of the K-th message (sendmsg) of any thread
//                                     since the call began: what arises inside of librbd's calls
//           delay:MS                  wait before the call
//           hold:FILE, hold-after:FILE  before or after the call wait until FILE exists
//           fail:ERRNO                not called; fails with that (a name or a number)
//           fail-after:ERRNO          called, and then it fails all the same
//           fail-late:ERRNO           rbd_aio_write: writes nothing, and the completion says so
//           short                     reads and writes: half of it only
//           lose                      writes: nothing is written, and nobody is told
// VMFERRY_FAULT_PATHS="DIR:FILE:..."
//   Calls of libc count only where they are about a name, or a descriptor of a name, that begins
//   like this; then those of libstdc++ (std::filesystem) count, too. Without it those of the
//   program itself count, whatever they are about.
// VMFERRY_FAULT_LOG=FILE
//   What happens is appended: "fired CALL N ACTION" just before it takes effect; when the process
//   ends, "called CALL TIMES" for each, for calls of Ceph with the number of messages that were
//   sent during the first, the second...
//
// Who calls is told by the return address, so what librados and librbd ask of libc for themselves
// shifts no number. With one worker (-j 1) the numbers are the same in each run.
//
// Any thread may call; one mutex guards the counts and is never held while a call runs.

namespace vmferry::faults {

struct Fault;

/// Does a call of libc count? `caller` is the return address.
bool counts_path(const void* caller, int directory, const char* path);
bool counts_fd(const void* caller, int fd);
/// Without a name: only calls of the program itself.
bool counts_any(const void* caller);

/// One call of the program, from its begin to its return. The constructor counts it, and kills,
/// waits or arms as the environment says.
class Moment {
 public:
  /// `call` must outlive the process. Calls that only start something stay armed (kill-inside) when
  /// they return.
  explicit Moment(const char* call, bool starts_only = false);
  Moment(const Moment&) = delete;
  Moment& operator=(const Moment&) = delete;
  ~Moment();

  /// The errno with which it shall fail, or 0.
  int error() const { return error_; }
  /// The same, for what was called in earnest: its answer never arrives.
  int error_after() const { return error_after_; }
  int late_error() const { return late_error_; }
  bool lost() const { return lost_; }
  /// How much of `size` bytes shall be read or written.
  size_t part_of(size_t size) const { return short_ && size > 1 ? size / 2 : size; }

 private:
  const char* const call_;
  const bool starts_only_;
  uint64_t number_ = 0;
  uint64_t sent_before_ = 0;
  int error_ = 0;
  int error_after_ = 0;
  int late_error_ = 0;
  bool lost_ = false;
  bool short_ = false;
  bool armed_ = false;
  const Fault* after_ = nullptr;
};

/// A message leaves the process, sent by whomever.
void note_send();

/// The next definition of the function `name`, which is libc's or librbd's own.
void* next_symbol(const char* name);

/// What `real()` answers, or `failed(errno)` where it shall fail.
template <class Real, class Failed>
auto around(const char* call, bool counts, Real real, Failed failed) -> decltype(real()) {
  if (!counts) {
    return real();
  }
  const Moment moment(call);
  if (moment.error() != 0) {
    return failed(moment.error());
  }
  const auto answer = real();
  return moment.error_after() == 0 ? answer : failed(moment.error_after());
}

}  // namespace vmferry::faults
