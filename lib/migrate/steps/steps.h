// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/migrate/needs.h"
#include "lib/migrate/run.h"
#include "lib/migrate/step.h"

// The steps of all ways, each in a file of its own.

namespace vmferry::migrate {

class DefineSecret : public StepWork {
 public:
  static constexpr const char* kName = "define-secret";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  bool settled() const override { return true; }
};

class CreateVolumes : public StepWork {
 public:
  static constexpr const char* kName = "create-volumes";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void clean() override { run_.clean_copies(); }
  bool only_makes() const override { return true; }
};

class Snapshot : public StepWork {
 public:
  static constexpr const char* kName = "snapshot";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void undo() override;
  void clean() override;

 private:
  /// Throws kConflict if the file under the overlay has another under its name: what is committed
  /// would go with it, or into that one.
  void require_old_image(const MovingDisk& disk) const;
  void note_frozen();
};

class CopyFrozen : public StepWork {
 public:
  static constexpr const char* kName = "copy-frozen";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void clean() override { run_.clean_copies(); }
  bool only_makes() const override { return true; }

 protected:
  /// One disk, or what is new in it, while it is seen to the overlays and to a person's patience.
  void copy(const MovingDisk& disk, std::optional<Clock::time_point> deadline);

 private:
  /// The same for `work`, the copy of that disk, with what is looked at meanwhile.
  void copy_by(const std::function<void(std::stop_token)>& work, const std::function<void()>& look,
               const MovingDisk& disk, std::optional<Clock::time_point> deadline);
  void copy_on_rungs(std::optional<Clock::time_point> deadline);
};

class StageOverlays : public StepWork {
 public:
  static constexpr const char* kName = "stage-overlays";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void undo() override;
  void clean() override;

 private:
  void require_same_size(const MovingDisk& disk) const;
};

class PivotOverlays : public StepWork {
 public:
  static constexpr const char* kName = "pivot-overlays";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;
};

class Commit : public StepWork {
 public:
  static constexpr const char* kName = "commit";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;
};

class Mirror : public StepWork {
 public:
  static constexpr const char* kName = "mirror";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void undo() override;
};

class PivotMirrors : public StepWork {
 public:
  static constexpr const char* kName = "pivot-mirrors";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;
};

class MigrateShared : public StepWork {
 public:
  static constexpr const char* kName = "migrate-shared";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  bool settled() const override { return false; }
};

class MigrateMirrored : public StepWork {
 public:
  static constexpr const char* kName = "migrate-mirrored";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceDone;
  using StepWork::StepWork;
  void run() override;
  void undo() override;
  bool settled() const override { return false; }
};

class ShutDown : public StepWork {
 public:
  static constexpr const char* kName = "shut-down";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void undo() override;
};

class CopyOffline : public StepWork {
 public:
  static constexpr const char* kName = "copy-offline";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void clean() override { run_.clean_copies(); }
  bool only_makes() const override { return true; }

 private:
  /// Is it past copying: does the new definition name it already?
  bool in_use_at_goal(const MovingDisk& disk) const;
};

class ForgetSnapshots : public StepWork {
 public:
  static constexpr const char* kName = "forget-snapshots";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void undo() override;
  void clean() override;

 private:
  void save(const std::vector<KnownSnapshot>& known);
};

class Define : public StepWork {
 public:
  static constexpr const char* kName = "define";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void undo() override;
};

class Start : public StepWork {
 public:
  static constexpr const char* kName = "start";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceDone;
  using StepWork::StepWork;
  void run() override;
};

class CheckDefinitions : public StepWork {
 public:
  static constexpr const char* kName = "check-definitions";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  bool settled() const override { return false; }

 private:
  void let_discard(const Machine& machine) const;
  /// Each new disk is open in one client, which is the guest's QEMU; says where that is not so.
  void see_writers(const Domain& domain) const;
  void see_writer(const MovingDisk& disk) const;
};

class Sparsify : public StepWork {
 public:
  static constexpr const char* kName = "sparsify";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  bool settled() const override { return true; }
};

class RemoveOverlays : public StepWork {
 public:
  static constexpr const char* kName = "remove-overlays";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
};

class UndefineSource : public StepWork {
 public:
  static constexpr const char* kName = "undefine-source";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;
  void undo() override;
  bool settled() const override { return true; }

 private:
  /// What was edited at the source since then, goes to the target, too. `now` is what is stored
  /// there.
  void carry_edits(const Domain& now);
};

class DeleteSource : public StepWork {
 public:
  static constexpr const char* kName = "delete-source";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;

 private:
  bool may_be_left(const MovingDisk& disk) const;
  /// Of all of them. Empty: they may go.
  std::string why_all_stay() const;
};

// Those of a warm move alone.

class MarkVolumes : public StepWork {
 public:
  static constexpr const char* kName = "mark-volumes";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void undo() override;
  void clean() override;
};

class KeepState : public StepWork {
 public:
  static constexpr const char* kName = "keep-state";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;
};

class CommitLayers : public StepWork {
 public:
  static constexpr const char* kName = "commit-layers";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;
};

class RemoveLayers : public StepWork {
 public:
  static constexpr const char* kName = "remove-layers";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;
};

class CommitBack : public StepWork {
 public:
  static constexpr const char* kName = "commit-back";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;
};

class RemoveVolumes : public StepWork {
 public:
  static constexpr const char* kName = "remove-volumes";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;

 private:
  void require_no_clones() const;
};

// Of guests on volumes, which are read from snapshots.

class MarkOld : public StepWork {
 public:
  static constexpr const char* kName = "mark-old";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
  void undo() override;
  void clean() override;

 private:
  bool has_mark(const MovingDisk& disk, const std::string& name) const;
  void mark(const MovingDisk& disk);
};

/// Ends what Snapshot began, once the volumes below the overlays have their snapshots.
class Unfreeze : public StepWork {
 public:
  static constexpr const char* kName = "unfreeze";
  static constexpr NoReturn kNoReturn = NoReturn::kNever;
  using StepWork::StepWork;
  void run() override;
};

class CopyMarked : public CopyFrozen {
 public:
  static constexpr const char* kName = "copy-marked";
  using CopyFrozen::CopyFrozen;
  void run() override;
};

class RemoveOldMarks : public StepWork {
 public:
  static constexpr const char* kName = "remove-old-marks";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;
};

class EndWarmMove : public StepWork {
 public:
  static constexpr const char* kName = "end-warm-move";
  static constexpr NoReturn kNoReturn = NoReturn::kOnceBegun;
  using StepWork::StepWork;
  void run() override;

 private:
  void remove_marks(const MovingDisk& disk) const;
};

}  // namespace vmferry::migrate
