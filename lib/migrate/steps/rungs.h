// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "lib/migrate/step.h"
#include "vmferry/copy_breaks.h"

namespace vmferry::migrate {

/// The overlays of a first sync, one after the other: one that becomes too large is committed into
/// the image in a break of its copy, and the guest writes to the next one. All disks go from rung
/// to rung at one point in time. One thread.
class Rungs : public StepWork {
 public:
  using StepWork::StepWork;
  /// Is that a run whose overlays may be committed while their images are copied?
  static bool fit(const Plan& plan);

  /// Ends a rung that was begun, by this run or one that died: the guest is on its overlays alone,
  /// over the images. Nothing may read those meanwhile.
  void settle();
  void run() override { settle(); }

  /// The disk is copied as it is now.
  CopyBreaks& begin_copy(const MovingDisk& disk);
  CopyBreaks& breaks(const MovingDisk& disk) { return breaks_[disk.dev]; }
  /// Looks at the overlays, and commits them if one of them is too large; `running` is of the copy
  /// that goes on meanwhile.
  void watch(CopyBreaks& running);
  /// The one of which most was changed since it was copied. Null: nothing was.
  const MovingDisk* find_behind();
  /// Of all disks, in bytes.
  uint64_t bytes_behind();

 private:
  struct Full {
    const MovingDisk* disk;
    uint64_t used;
  };
  std::optional<Full> find_full() const;
  bool is_last_room(const MovingDisk& disk, uint64_t used) const;
  void climb(const Full& full);
  void require_progress();
  unsigned next_rung() const;
  void snapshot();
  void require_running() const;
  size_t count_on_next() const;
  void commit_layers();
  void leave_next();

  std::map<std::string, CopyBreaks> breaks_;  ///< by dev
  std::optional<Clock::time_point> asked_;    ///< for a break, that did not come yet
  uint64_t reads_ = 0;                        ///< by copies, when the last rung began
  unsigned idle_rungs_ = 0;                   ///< the last ones, in which there were none
};

}  // namespace vmferry::migrate
