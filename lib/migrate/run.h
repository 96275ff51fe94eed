// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/migrate/facts.h"
#include "lib/migrate/journal.h"
#include "lib/migrate/machine.h"
#include "lib/migrate/notes.h"
#include "lib/migrate/places.h"
#include "vmferry/migrate.h"
#include "vmferry/sync_state.h"

namespace vmferry::migrate {

/// Something that an undo could not remove.
struct LeftOver {
  std::string why;
  std::string command;  ///< that removes it, once nothing is in the way
};

/// A run of a plan: what its steps have in common. It asks how things are, and does what several
/// steps do. One thread.
class Run : public Notes {
 public:
  /// `recovering`: the journal is of a killed run, so that what exists may be that run's.
  Run(const Plan& plan, const MigrateContext& context, Journal& journal, bool recovering);

  // How far it is (run.cpp).
  bool is_recovery() const { return recovering_; }
  /// Until what a dead run asked of libvirt is done: before that, nothing seen is final.
  void wait_until_idle();
  /// Does the guest depend on its new disks, by what the definitions say? Then there is no way
  /// back.
  bool turned() const;
  /// It may be undone, but to finish it is less work.
  bool better_finished() const;
  /// Has the guest left for the other host?
  bool arrived() const;
  /// Is there anything yet that somebody's image could be over?
  bool made_something() const;
  /// Is it defined on no host any more, although all were asked?
  bool machine_is_gone() const;
  bool pending(const std::string& step) const;
  /// It was begun, and neither ended nor was undone.
  bool under_way(const std::string& step) const;
  /// It is a move to another host, which can be asked.
  bool target_is_known() const { return context_.target != context_.source; }
  /// The definition at the target names the new disks, and no guest runs there.
  bool waits_at_target() const;
  /// Before an undo without the other host, if that cannot be asked. Throws kConflict: the guest
  /// may be there.
  void undo_alone();
  /// Before a guest that was about to leave is left where it is: nothing of it is at the target.
  void stay_here();
  /// May a guest that was about to leave still be left on its host? It is, if nobody can tell.
  bool may_stay() const;
  std::optional<Clock::time_point> deadline() const;
  MigrateReport report() const;
  /// Bytes a second of what begins now; 0: no limit.
  uint64_t bandwidth_now() const {
    return context_.rate ? context_.rate() : plan_.request.bandwidth;
  }
  /// The guest is told to shut down, and was started again: for the report.
  void goes_off() { went_off_ = source_.now(); }
  void came_back();
  /// A file that is left, and named in the report, of what libvirt knew of the snapshots.
  void keep_forgotten(const std::string& file) { forgotten_.push_back(file); }
  const std::vector<LeftOver>& left_over() const { return left_over_; }
  void try_to_remove(const std::string& command, const std::function<void()>& remove);
  [[noreturn]] void fail_left_over() const;
  /// The commands that a hint tells a person to type.
  std::string recovery(const std::string& option = {}) const {
    return recover_command(plan_.kind, source_.name(), context_.state_dir, option);
  }
  std::string undefining(const std::string& uri) const;
  /// Which of two hosts has the newest data, nobody can tell.
  [[noreturn]] void fail_divided(const std::string& action) const;

  // The guest (run.cpp).
  /// A guest that was stopped meanwhile is started with its processors stopped, so that its disks
  /// can be worked on, and taken away again: it ran no instruction.
  void wake();
  /// Throws kConflict if it went off with its memory saved: its next start has to take that up.
  void require_not_saved() const;
  void put_to_sleep();
  /// A guest whose start by this move ended in the middle, as libvirt's daemon died, is taken away:
  /// it ran no instruction, and can be started again. One that others started or paused stays.
  void clear_half_started();

  // Where the disks are (run_places.cpp).
  /// Throws kConflict if a host is another one than the run's, or has another machine under its
  /// name, or ours under another.
  void require_same_machine() const;
  /// Throws kConflict if a disk is on an image that is none of this move's: it may be over one that
  /// is, and hold what is newest. Also if it is on one that it had left already: somebody put it
  /// back there, and what was written since is elsewhere.
  void require_known_places();
  /// Where it is. Throws kConflict if that is before `first`, or no place of this move.
  Place require_from(const MovingDisk& disk, Place first);
  /// Throws kConflict if a definition of the machine here names the file, on top or below.
  void require_unnamed(const std::string& file) const;
  /// Throws kConflict if a definition of the machine here names the new place of the disk.
  void require_unused(const MovingDisk& disk) const;
  /// Throws kConflict if a definition names more of the move than what came before its copy.
  void require_before_copy(const MovingDisk& disk) const;

  // A host that goes (run_lost.cpp).
  /// Names the host that does not answer any more, if one does not, how the guest stands, and as a
  /// hint the ways to end the run without that host.
  ErrorParts about_lost_host(ErrorParts parts) const;
  /// How the guest stands, and those ways; empty: there is none. Asks the source only.
  std::string ways_alone() const;

  // Disks that go (run_gone.cpp).
  /// Disks that somebody took from the machine leave the move: answers whether there were any.
  bool drop_gone_disks();
  /// All that a disk may be on: "/img/a.img, rbd:pool/a".
  std::string places_of(const MovingDisk& disk) const;
  /// Commands that remove what copies may have left behind under names of their own.
  std::vector<std::string> unfinished_copies() const;

  // What is made for a disk (run_copies.cpp).
  /// Before a switch: one while the cluster stands still freezes the guest until it is back.
  void prove_access() const;
  DiskTarget new_place(const MovingDisk& disk) const { return disk_target(plan_.request, disk); }
  std::string goal(const MovingDisk& disk) const { return places_.fresh->name(disk); }
  bool still_equal(const MovingDisk& disk) const;
  /// Runs `make`, which makes something new or throws kConflict: it is there, and somebody's.
  void make_ours(const std::string& note, const std::function<void()>& make);
  /// The same for what the guest will run on.
  void make_new_place(const MovingDisk& disk,
                      const std::function<void(const MigrationStorage::Made&)>& make);
  /// Is what has the new name what this run made?
  bool is_ours(const MovingDisk& disk) const;
  /// Copies one disk unless that was done, as far as can be told.
  void copy_disk(const MovingDisk& disk, std::stop_token stop, CopyBreaks* breaks = nullptr);
  /// The same for a volume that has what is below the disk's image (MovingDisk::first_image).
  void update_disk(const MovingDisk& disk, std::stop_token stop);
  /// Copies once more what was changed in breaks since copy_disk().
  void catch_up(const MovingDisk& disk, std::stop_token stop, CopyBreaks& breaks);
  /// Removes what copy_disk or create_volumes made.
  void clean_copies();
  /// Begins QEMU's copy of a disk onto the <disk> `definition`; `file` is what was made for it, if
  /// it is one.
  void copy_onto(const MovingDisk& disk, const std::string& file, const std::string& definition,
                 bool shallow);

  // Of a warm move (run_warm.cpp).
  /// The guest is on overlays of a sync from its begin on.
  bool begins_on_overlays() const;
  /// It reads snapshots of volumes, while the guest writes to those.
  bool reads_snapshots() const;
  /// What is copied of the disk: with the snapshot that is read.
  MovingDisk as_read(MovingDisk disk) const;
  /// Its state as the run before left it. Nothing: there is none.
  const std::optional<SyncState>& warm() const { return warm_; }
  /// Throws kConflict if that is not what was planned with.
  void require_planned_state() const;
  /// The snapshot that all volumes have, before this run.
  std::string last_mark() const;
  /// Snapshots of syncs that are long past keep old blocks: they go, where that can be done.
  void remove_old_marks(const MovingDisk& disk) const;
  /// Its state as this run leaves it.
  SyncState state_to_keep() const;

  // Overlays (run_overlays.cpp).
  void remove_overlay(const MovingDisk& disk);
  void remove_bridge(const MovingDisk& disk);
  void watch_overlays();
  /// Is a guest off that was to run all the time?
  bool was_stopped() const;
  [[noreturn]] void fail_full(const MovingDisk& disk, uint64_t used) const;
  /// How much the overlay may hold: what was allowed, and there is room for.
  uint64_t overlay_limit(const MovingDisk& disk, uint64_t used) const;
  /// Does it hold more than nothing? An overlay that a guest may have run on does.
  bool was_written(const std::string& overlay, uint64_t size) const;
  void warn_of_room(const std::string& overlay);
  /// A guest that met a full overlay stands still, and nobody but its owner may let it go on.
  void warn_of_paused_guest();

  // Definitions (run_definitions.cpp).
  /// The definition with each moving disk as the rewriting of the old one makes it.
  std::string with_new_disks(const Domain& domain, const DriverOptions& driver = {}) const;
  /// The definition with the disks that it had before the move.
  std::string with_old_disks(const Domain& domain) const;
  /// The stored definition of now for the target, new disks and all. What it was made of is
  /// recorded.
  std::string definition_to_send();
  /// Are the disks at their goal in that definition? Names the first that is not.
  std::optional<std::string> misplaced(const Machine& machine, DefinitionKind kind) const;
  void warn_of_replaced(const Machine& machine, const Domain& stored) const;

  // To another host (run_migration.cpp).
  LiveMigration migration_options() const;
  void migrate_guest(const LiveMigration& migration);
  void wait_for_half_made();
  void clear_half_made();
  void restore_autostart();

 private:
  friend class StepWork;

  /// For the report of a complete move: what is left of the old disk, and what the new one takes.
  void see_ends(const MovingDisk& disk, MigrateReport::Disk& line,
                std::vector<std::string>& kept) const;
  bool turned_offline() const;
  /// May the guest be at the target, or defined there, by what was begun?
  bool may_be_at_target() const;
  /// Later in a warm move: is the copy under way, or done?
  bool is_sync_copied() const;
  /// Offline: does the machine's new definition name the new disks?
  bool is_defined_anew() const;
  /// Is a copy under way, of disks that are still as it reads them, and would some of it be kept?
  bool can_resume_copy() const;
  bool is_partly_copied(const MovingDisk& disk) const;
  void require_same_machine(const Machine& machine, const HostIdentity& host,
                            const std::string& option) const;
  /// How far this move has brought the disk: on what comes before, its data is not the newest.
  Place reached(const MovingDisk& disk) const;
  Place reached_in_stages(const MovingDisk& disk) const;
  [[noreturn]] void fail_out_of_place(const Machine& machine, const MovingDisk& disk,
                                      const DiskImage& image, Place place);
  const Machine& present_machine() const;
  bool is_gone(const Machine& machine, const Domain& now, const MovingDisk& disk) const;
  void drop(const MovingDisk& disk);
  std::string where_data_is(const MovingDisk& disk);
  std::string where_staged_data_is(const MovingDisk& disk) const;
  void remove_copy(const MovingDisk& disk);
  /// Throws kConflict unless the volume, which this run has not made, holds what the disk does.
  void require_copied(const MovingDisk& disk, std::stop_token stop);

  const Plan& plan_;
  const MigrateContext& context_;
  Journal& journal_;
  const bool recovering_;
  const Places places_;
  Machine source_;
  Machine target_;
  const Clock::time_point began_;
  const std::optional<SyncState> warm_;
  std::vector<std::string> forgotten_;
  std::map<std::string, CopyDone> copies_;  ///< by dev; only the copier writes it
  std::vector<LeftOver> left_over_;
  std::optional<Clock::time_point> went_off_;
  std::optional<uint64_t> downtime_ms_;
  int overlay_warnings_ = 0;
  bool warned_of_room_ = false;
};

}  // namespace vmferry::migrate
