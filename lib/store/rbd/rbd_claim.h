// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "lib/store/rbd/rbd_cluster.h"

namespace vmferry {

/// Which image makes room for which: what a run writes down before it renames anything.
struct RbdReplacement {
  std::string old_id;
  std::string new_id;
};

/// How long to try again while another run holds a claim: one that was killed does for 30 s.
struct RbdClaimWait {
  std::chrono::seconds patience{0};
  std::stop_token stop;  ///< ends it with kCancelled
  /// Told once, in one line, when there is something to wait for. May be empty.
  std::function<void(const std::string&)> notice = {};
};

/// The right to make, remove and rename volumes of the names NAME, NAME.vmferry-partial and
/// NAME.vmferry-old. It is a lock (cls_lock) with a time limit on an object
/// "rbd_vmferry_claim.NAME" beside the volumes, and lasts from before the first byte until after
/// the last rename; a thread renews it. A run that was killed loses it when the time is over. A run
/// that only slept may wake up after that: so who takes over cuts it off from the cluster first
/// (blocklists its address; 'profile rbd' for mon allows that). What a
/// killed run wrote down stays in the object. Any thread may call it.
class RbdClaim {
 public:
  /// Throws Error: kConflict where another run holds it, or one that was killed may only be asleep
  /// and this user may not cut it off. `pool` must outlive it.
  RbdClaim(const RbdPool& pool, const RbdLocation& location, const RbdClaimWait& wait = {});
  RbdClaim(const RbdClaim&) = delete;
  RbdClaim& operator=(const RbdClaim&) = delete;
  /// Releases it.
  ~RbdClaim();

  /// Throws Error when it was lost to another run, as far as is known here. Costs nothing.
  void check_known() const;
  /// Asks and renews; throws as well when the cluster cannot be asked.
  void check();

  /// What a run that was stopped wrote down; later, what this one did.
  const std::optional<RbdReplacement>& replacement() const { return replacement_; }
  void note(const RbdReplacement& replacement);

  /// It is not ours any more, as far as is known here.
  bool lost() const { return lost_; }
  /// Another run has it, or may: not if this client was cut off while the claim was held still.
  bool taken_over() const { return lost_ && !cut_off_in_time_; }
  /// The command that removes what is left of it.
  std::string removal() const;
  /// Takes the claim back with one operation, which spares another run's. 0, or the negative code
  /// with which it failed: then it ends when its time is over. Once.
  int release() noexcept;

 private:
  class OwnIo {
   public:
    OwnIo(const RbdPool& pool, const RbdLocation& location);
    OwnIo(const OwnIo&) = delete;
    OwnIo& operator=(const OwnIo&) = delete;
    ~OwnIo() { rados_ioctx_destroy(io_); }
    rados_ioctx_t get() const { return io_; }

   private:
    rados_ioctx_t io_ = nullptr;
  };
  enum class Renewal { kHeld, kLost, kUnknown };

  bool make() const;
  int lock(uint8_t flags) const;
  std::string previous_owner() const;
  bool try_own(const std::string& previous) const;
  int lock_in_time(const RbdClaimWait& wait) const;
  void take(const RbdClaimWait& wait) const;
  void undo_take() const noexcept;
  std::string read(const char* attribute) const;
  void cut_off(const std::string& previous_owner) const;
  std::string holder() const;
  Error held_by_another() const;
  Error lost_error() const;
  Renewal renew(int& rc);
  void renew_for_ever(std::stop_token stop);

  const RbdPool& pool_;
  const RbdLocation location_;
  const OwnIo io_;  // of its own: it keeps the version of what was asked for last
  const std::string object_;
  const std::string cookie_;
  const std::string owner_;  // the cookie, our address, and for people who we are: one a line
  std::optional<RbdReplacement> replacement_;
  std::atomic<bool> lost_ = false;
  std::atomic<bool> cut_off_in_time_ = false;         ///< lost while nobody else could have it
  std::chrono::steady_clock::time_point held_until_;  ///< at least; under the mutex
  bool released_ = false;
  std::mutex mutex_;  // renewing is asking and then judging: one at a time
  std::condition_variable_any wake_;
  std::jthread renewer_;  // last: it uses all of the above
};

}  // namespace vmferry
