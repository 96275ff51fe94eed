// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lib/migrate/places.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"
#include "vmferry/migrate.h"

namespace vmferry::migrate {

/// Where a disk of the domain is, as its definition tells. In a staged move the chain passes
/// through all of them in turn.
enum class Place {
  kOriginal,  ///< where it was
  kOverlay,   ///< staged: on the overlay over the frozen image
  kBridge,    ///< staged: on the overlay over the volume
  kTarget,    ///< where it shall be
  kElsewhere,
};

using Clock = std::chrono::steady_clock;

/// The domain that moves, seen through one host: asks and waits; nothing that it keeps is relied
/// on. What it does with jobs is what libvirt's own tools do, plus patience. One thread.
class Machine {
 public:
  Machine(const Plan& plan, const MigrateContext& context, const NewPlace& goal,
          std::shared_ptr<Host> host)
      : plan_(plan),
        context_(context),
        goal_(goal),
        host_(std::move(host)),
        guest_(host_->guest(name())) {}

  const std::string& name() const { return plan_.request.domain; }
  Host& host() const { return *host_; }
  Guest& guest() const { return *guest_; }

  DomainState state() const { return guest_->state(); }
  Clock::time_point now() const { return context_.patience.now(); }
  /// It has a QEMU: running or paused.
  bool active() const;
  Domain definition(DefinitionKind kind) const;
  Place place(const MovingDisk& disk, DefinitionKind kind) const;
  Place place_in(const Domain& domain, const MovingDisk& disk) const;
  Place place_of(const DiskImage& image, const MovingDisk& disk) const;
  /// The definition that counts: the live one of an active domain, else the persistent one.
  Domain definition() const;
  /// By the definition that counts.
  Place place(const MovingDisk& disk) const;

  /// Is a paused one started so, and never ran an instruction? Then destroying it loses nothing.
  bool never_ran() const;
  /// Did its start end in the middle, as libvirt's daemon died? Then neither. Throws Error: its
  /// start is still under way.
  bool half_started() const;
  /// Is it the half-made target of a migration, which has run no instruction either?
  bool half_made() const;
  /// Did QEMU pause it, as a write of it failed?
  bool failed_to_write() const;

  /// What is looked at while waiting; may throw to end the wait.
  using Watch = std::function<void()>;
  /// Until the jobs of all `disks` can pivot, or have: a disk is at `goal` then. Throws when
  /// another job vanishes, when stopped, or at `deadline`.
  void wait_ready(const std::vector<const MovingDisk*>& disks, Place goal, const std::string& what,
                  std::optional<Clock::time_point> deadline, const Watch& watch);
  /// Pivots and proves it by the definition: `expected` is where the disk is then. `pivoted` is
  /// called as soon as libvirt says that it is done.
  void pivot(const MovingDisk& disk, Place expected, const std::function<void()>& pivoted = {});
  /// Did this move begin that job, or could it have?
  bool is_ours(const BlockJob& job, const MovingDisk& disk) const;
  /// Throws kConflict if the disk has a job that is not ours: a backup, somebody's copy.
  std::optional<BlockJob> our_job(const MovingDisk& disk) const;
  /// Ends our job of a disk without a pivot, if there is one.
  void abort_job(const MovingDisk& disk);
  /// Active commit of the topmost overlay into what is below, and pivot. Throws kConflict if that
  /// is another place of this move. `before_pivot` is called when all but the pivot is done.
  void commit(const MovingDisk& disk, Place expected, const Watch& watch,
              const std::function<void()>& before_pivot = {});
  /// Is the image that the run began with still below the overlay? REQUIRES: active().
  bool has_layer(const MovingDisk& disk) const;
  /// Commits that image into the one below it, after which it has left the chain. `tell`: the
  /// observer is told how far it is.
  void commit_layer(const MovingDisk& disk, const Watch& watch, bool tell = true);
  /// Asks the guest to, again and again, for `time` at most. Answers whether it is off.
  bool shut_down(std::chrono::seconds time);
  /// Until libvirt is done with what a dead run asked of it: it goes on without its client.
  void wait_until_idle();
  /// Asks nothing, and is not stopped: for an undo.
  void wait_until_off(std::chrono::seconds time);

  void throw_if_stopped() const;

 private:
  /// Gives a copy that runs the rate of now; `rates` has what was set before, by dev.
  void adjust_rate(const MovingDisk& disk, const BlockJob& job,
                   std::map<std::string, uint64_t>& rates) const;
  void require_active(const std::string& what) const;
  /// Of a job that failed: says why, where that is known.
  [[noreturn]] void fail_ended(const MovingDisk& disk, const std::string& what,
                               const std::string& cause) const;
  /// Where QEMU writes in jobs of the disk and there is no room left. Empty: there is, or nobody
  /// can tell.
  std::string full_directory(const MovingDisk& disk) const;
  void require_below(const MovingDisk& disk, Place expected) const;

  const Plan& plan_;
  const MigrateContext& context_;
  const NewPlace& goal_;
  const std::shared_ptr<Host> host_;
  const std::shared_ptr<Guest> guest_;
  /// What was read last of each kind: most questions come while nothing changes.
  mutable std::map<DefinitionKind, Domain> seen_;
};

/// `error` with what to do about it, if QEMU does not see `file`, which was just made for it, or
/// was not allowed to open it. Empty: none was.
Error about_new_file(const Error& error, const std::string& file);

/// Throws an Error about the domain.
[[noreturn]] void fail(ErrorKind kind, const std::string& domain, const std::string& action,
                       const std::string& cause, const std::string& hint = {});

}  // namespace vmferry::migrate
