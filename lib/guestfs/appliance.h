// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <guestfs.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "vmferry/error.h"

namespace vmferry {

/// A disk for the appliance. What the guest there discards is dropped from it.
struct ApplianceDisk {
  std::string path;
  std::string format;  ///< "raw" or "qcow2": never probed
};

/// libguestfs's small virtual machine with one disk, /dev/sda: file systems of a guest, which may
/// be hostile, are mounted in there and never by this machine's kernel. Runs under KVM, or where
/// KVM does not run guests by emulation. When `stop` is triggered its QEMU is ended, and the call
/// under way throws kCancelled. One thread.
class Appliance {
 public:
  /// Starts it: seconds with KVM, about ten without. Throws Error with a hint where it cannot
  /// start. `object` is the image's name in messages.
  Appliance(std::string object, const ApplianceDisk& disk, std::stop_token stop);
  Appliance(const Appliance&) = delete;
  Appliance& operator=(const Appliance&) = delete;
  ~Appliance();

  guestfs_h* get() const { return handle_.get(); }
  bool is_emulated() const { return emulated_; }
  /// KVM was tried, and time was lost.
  bool gave_up_kvm() const { return gave_up_kvm_; }

  /// Runs a shell command inside, and returns what it printed. Throws Error if it fails. The
  /// library has no call for what this is used for: discarding a range, listing LVM's segments.
  std::string shell(const std::string& command);
  /// Makes a file inside, which only its root may read.
  void upload(const std::string& content, const std::string& path);
  /// The name for shell() of a device that the library calls "/dev/sda...": it translates, since
  /// the kernel may find the appliance's own disk first.
  std::string kernel_name(const std::string& device);
  /// Writes everything out as far as the file of the disk.
  void sync();
  /// The last error of the library, as ours.
  Error last_error(std::string action) const;
  /// Ends it in order; throws Error if the disk may not have got everything.
  void shut_down();

 private:
  struct Closer {
    void operator()(guestfs_h* handle) const { guestfs_close(handle); }
  };
  using Handle = std::unique_ptr<guestfs_h, Closer>;

  Handle make_handle(const ApplianceDisk& disk, bool force_emulation) const;
  /// False: KVM did not run it.
  bool launch(guestfs_h* handle, bool may_give_up);

  const std::string object_;
  const std::stop_token stop_;
  Handle handle_;
  bool emulated_ = false;
  bool gave_up_kvm_ = false;
  std::string disk_;  // as the kernel calls it; empty: not asked yet
  std::atomic<int> qemu_pid_ = 0;
  std::jthread stopper_;  // last: it uses the above
};

/// Creates a qcow2 file `path` that shows what `backing` (its format in `disk.format`) holds, and
/// takes changes to it.
void create_overlay(const std::string& path, const ApplianceDisk& backing, int cluster_size);

/// A list of strings that libguestfs allocated; frees it.
class GuestfsStrings {
 public:
  explicit GuestfsStrings(char** list) : list_(list) {}
  GuestfsStrings(const GuestfsStrings&) = delete;
  GuestfsStrings& operator=(const GuestfsStrings&) = delete;
  ~GuestfsStrings();

  bool valid() const { return list_ != nullptr; }
  std::vector<std::string> all() const;
  /// For calls that return a table: name, value, name, value ...
  std::vector<std::pair<std::string, std::string>> pairs() const;

 private:
  char** list_;
};

/// Takes over a string that libguestfs allocated; null becomes an empty one.
std::string take_string(char* text);

}  // namespace vmferry
