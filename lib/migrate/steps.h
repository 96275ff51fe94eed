// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/migrate/facts.h"
#include "lib/migrate/journal.h"
#include "lib/migrate/machine.h"
#include "lib/migrate/needs.h"
#include "vmferry/migrate.h"

namespace vmferry::migrate {

/// Something that an undo could not remove.
struct LeftOver {
  std::string why;
  std::string command;  ///< that removes it, once nothing is in the way
};

/// What each step of a plan does, and how it is undone: first the guest goes back to what it had,
/// then what was made for it is removed. Every one first looks at how things are and
/// does only what is left to do: running a step twice, or after a kill in its middle, is right. So
/// are the undoings; each throws if it cannot leave things as they were before its step. One
/// thread.
class Steps {
 public:
  /// `recovering`: the journal is of a killed run, so that what exists may be that run's.
  Steps(const Plan& plan, const MigrateContext& context, Journal& journal, bool recovering);

  void run(const Step& step);
  /// Of the guest and its definitions. Throws if it cannot be as it was before the step.
  void undo(const Step& step);
  /// Of what the step made, after all is undone. What cannot be removed goes into left_over().
  void clean(const Step& step);
  const std::vector<LeftOver>& left_over() const { return left_over_; }
  /// Is undoing it nothing but removing what it made?
  static bool only_makes(const Step& step);
  /// Is it defined on no host any more, although all were asked?
  bool machine_is_gone() const;
  /// All that a disk may be on: "/img/a.img, rbd:pool/a".
  std::string places_of(const MovingDisk& disk) const;
  /// Commands that remove what copies may have left behind under names of their own.
  std::vector<std::string> unfinished_copies() const;
  /// Disks that somebody took from the machine leave the move: answers whether there were any.
  bool drop_gone_disks();
  /// Throws kConflict if a host is another one than the run's, or has another machine under its
  /// name, or ours under another.
  void require_same_machine() const;
  /// Throws kConflict if a disk is on an image that is none of this move's: it may be over one that
  /// is, and hold what is newest. Also if it is on one that it had left already: somebody put it
  /// back there, and what was written since is elsewhere.
  void require_known_places();
  /// Is there anything yet that somebody's image could be over?
  bool made_something() const;
  /// Until what a dead run asked of libvirt is done: before that, nothing seen is final.
  void wait_until_idle();
  /// Does the guest depend on its new disks, by what the definitions say? Then there is no way
  /// back.
  bool turned() const;
  /// It may be undone, but to finish it is less work.
  bool better_finished() const;
  /// Has the guest left for the other host?
  bool arrived() const;
  /// Before an undo without the other host, if that cannot be asked. Throws kConflict: the guest
  /// may be there.
  void undo_alone();
  /// Before a guest that was about to leave is left where it is: nothing of it is at the target.
  void stay_here();
  /// A done step that a recovery need not look at again.
  bool settled(const Step& step) const;
  MigrateReport report() const;

 private:
  // Staged (steps_staged.cpp).
  void snapshot();
  void undo_snapshot();
  void copy_frozen();
  void require_same_size(const MovingDisk& disk) const;
  void stage_overlays();
  void undo_stage_overlays();
  void clean_bridges();
  void pivot_overlays();
  void commit_overlays();
  void remove_overlays();
  /// Throws kConflict if the file under the overlay has another under its name: what is committed
  /// would go with it, or into that one.
  void require_old_image(const MovingDisk& disk) const;
  void clean_overlays();
  void remove_overlay(const MovingDisk& disk);
  void remove_bridge(const MovingDisk& disk);
  void watch_overlays();
  void warn_of_room(const std::string& overlay);

  // Where the disks are (steps_places.cpp).
  void require_same_machine(const Machine& machine, const HostIdentity& host,
                            const std::string& option) const;
  /// How far this move has brought the disk: on what comes before, its data is not the newest.
  Place reached(const MovingDisk& disk) const;
  /// After a death in the middle of the snapshot: did the guest run on the overlay?
  bool was_written(const MovingDisk& disk) const;
  /// Where it is. Throws kConflict if that is before `first`, or no place of this move.
  Place require_from(const MovingDisk& disk, Place first);
  [[noreturn]] void fail_out_of_place(const Machine& machine, const MovingDisk& disk,
                                      const DiskImage& image, Place place);
  /// Throws kConflict if a definition of the machine here names the file, on top or below.
  void require_unnamed(const std::string& file) const;
  /// Throws kConflict if a definition names more of the move than what came before its copy.
  void require_before_copy(const MovingDisk& disk) const;

  // Disks that go (steps_gone.cpp).
  const Machine& present_machine() const;
  bool is_gone(const Machine& machine, const Domain& now, const MovingDisk& disk) const;
  void drop(const MovingDisk& disk);
  std::string where_data_is(const MovingDisk& disk);
  bool pending(StepKind kind) const;

  // Mirrored (steps_mirror.cpp).
  void create_volumes();
  /// Begins QEMU's copy of a disk onto the <disk> `definition`; `file` is what was made for it, if
  /// it is one.
  void copy_onto(const MovingDisk& disk, const std::string& file, const std::string& definition,
                 bool shallow);
  void mirror();
  void undo_mirror();
  void pivot_mirrors();
  void sparsify();

  // To another host (steps_move.cpp).
  void migrate_shared();
  void migrate_mirrored();
  void wait_for_half_made();
  void clear_half_made();
  void migrate_guest(const LiveMigration& migration);
  void undo_migration();
  void restore_autostart();
  LiveMigration migration_options() const;
  void undefine_source();
  void undo_undefine_source();

  // Offline (steps_offline.cpp).
  void shut_down();
  void undo_shut_down();
  bool turned_offline() const;
  void copy_offline();
  void define();
  void undo_define();
  /// Is it past copying: does the new definition name it already?
  bool in_use_at_goal(const MovingDisk& disk) const;
  /// The definition at the target names the new disks, and no guest runs there.
  bool waits_at_target() const;
  /// Which of two hosts has the newest data, nobody can tell.
  [[noreturn]] void fail_divided(const std::string& action) const;
  bool still_equal(const MovingDisk& disk) const;
  void start();

  // The ends of all ways (steps_check.cpp).
  void check_definitions();
  void warn_of_replaced(const Machine& machine, const Domain& stored) const;
  void let_discard(const Machine& machine) const;
  /// Each new disk is open in one client, which is the guest's QEMU; says where that is not so.
  void see_writers(const Domain& domain) const;
  void see_writer(const MovingDisk& disk) const;

  // The old disks (steps_delete.cpp).
  void delete_source();
  bool may_be_left(const MovingDisk& disk) const;
  /// Of all of them. Empty: they may go.
  std::string why_all_stay() const;
  /// Empty: it may go.
  std::string why_source_stays(const MovingDisk& disk, const std::vector<Need>& needs);
  void delete_source_of(const MovingDisk& disk);

  /// A guest that was stopped meanwhile is started with its processors stopped, so that its disks
  /// can be worked on, and taken away again: it ran no instruction.
  void wake();
  /// Throws kConflict if it went off with its memory saved: its next start has to take that up.
  void require_not_saved() const;
  void put_to_sleep();

  bool target_is_known() const { return context_.target != context_.source; }
  void define_secret();
  /// Copies one disk unless that was done, as far as can be told.
  void copy_disk(const MovingDisk& disk, std::stop_token stop);
  DiskTarget new_place(const MovingDisk& disk) const { return disk_target(plan_.request, disk); }
  /// The definition with each moving disk as the rewriting of the old one makes it.
  std::string with_new_disks(const Domain& domain, const DriverOptions& driver = {}) const;
  /// The definition with the disks that it had before the move.
  std::string with_old_disks(const Domain& domain) const;
  /// The stored definition of now for the target, new disks and all. What it was made of is
  /// recorded.
  std::string definition_to_send();
  /// What was edited at the source since then, goes to the target, too. `now` is what is stored
  /// there.
  void carry_edits(const Domain& now);
  /// Removes what copy_disk or create_volumes made.
  void clean_copies();
  void close_unused(const MovingDisk& disk) const;
  void try_to_remove(const std::string& command, const std::function<void()>& remove);
  std::string removing_command(const MovingDisk& disk) const;
  bool old_disk_exists(const MovingDisk& disk) const;
  /// Are the disks at their goal in that definition? Names the first that is not.
  std::optional<std::string> misplaced(const Machine& machine, DefinitionKind kind) const;
  std::optional<Clock::time_point> deadline() const;
  std::string goal(const MovingDisk& disk) const {
    return plan_.to_files ? disk.image.path : disk.volume.display();
  }
  /// What is under the new name is ours: noted before it is made, as a kill may follow at once.
  /// Noted before an old disk goes, and before the old definition loses something.
  static constexpr const char* kRetired = "retired";
  static constexpr const char* kLeft = "left";
  static constexpr const char* kStarted = "started";
  static constexpr const char* kAskedOff = "asked-off";        ///< a shutdown may be on its way
  static constexpr const char* kSent = "sent";                 ///< a text: see definition_to_send
  static constexpr const char* kFrozen = "frozen";             ///< the overlays are ours
  static constexpr const char* kOverlaid = "overlaid";         ///< the guest runs on them
  static constexpr const char* kNoAutostart = "no-autostart";  ///< switched off by us
  static constexpr const char* kWoken = "woken";               ///< started by us, paused
  static std::string bridged(const MovingDisk& disk) { return "bridged:" + disk.dev; }
  static std::string made(const MovingDisk& disk) { return "made:" + disk.dev; }
  /// Back on the old disk by our undo, or just about to be.
  static std::string returning(const MovingDisk& disk) { return "returning:" + disk.dev; }
  static std::string switched(const MovingDisk& disk) { return "switched:" + disk.dev; }
  static std::string committed(const MovingDisk& disk) { return "committed:" + disk.dev; }
  /// A text: which volume or file was made.
  static std::string identity(const MovingDisk& disk) { return "identity:" + disk.dev; }
  static std::string copied(const MovingDisk& disk) { return "copied:" + disk.dev; }
  bool new_place_exists(const MovingDisk& disk) const;
  /// Runs `make`, which makes something new or throws kConflict: it is there, and somebody's.
  void make_ours(const std::string& note, const std::function<void()>& make);
  /// The same for what the guest will run on.
  void make_new_place(const MovingDisk& disk,
                      const std::function<void(const MigrationStorage::Made&)>& make);
  /// Is what has the new name what this run made?
  bool is_ours(const MovingDisk& disk) const;
  void remove_copy(const MovingDisk& disk);

  /// The commands that a hint tells a person to type.
  std::string recovery(const std::string& option = {}) const {
    return recover_command(source_.name(), context_.state_dir, option);
  }
  std::string undefining(const std::string& uri) const;

  const Plan& plan_;
  const MigrateContext& context_;
  Journal& journal_;
  const bool recovering_;
  Machine source_;
  Machine target_;
  const Clock::time_point began_;
  std::vector<std::string> kept_;
  std::vector<LeftOver> left_over_;
  std::optional<uint64_t> downtime_ms_;
  int overlay_warnings_ = 0;
  bool warned_of_room_ = false;
};

}  // namespace vmferry::migrate
