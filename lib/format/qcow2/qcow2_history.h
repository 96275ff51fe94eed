// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "lib/format/qcow2/qcow2.h"
#include "vmferry/history.h"

namespace vmferry {

/// The internal snapshots of an image as states of its disk. What is given must outlive it. Any
/// thread.
class Qcow2History {
 public:
  Qcow2History(const Qcow2Parts& parts, const Qcow2Header& header)
      : parts_(parts), header_(header) {}

  // See History.
  std::vector<Point> points() const;
  std::unique_ptr<Changes> changes(size_t before, size_t after) const;

  /// What to open for the disk as it was then; after the last snapshot: as it is now.
  Qcow2Parts parts_at(size_t index) const;

 private:
  void require_own_data() const;
  /// By their dates: after a return to an earlier one the table is a tree. Reads the table once.
  const std::vector<Qcow2Snapshot>& snapshots() const;

  const Qcow2Parts& parts_;
  const Qcow2Header& header_;
  mutable std::mutex mutex_;
  mutable bool is_read_ = false;
  mutable std::vector<Qcow2Snapshot> snapshots_;
};

}  // namespace vmferry
