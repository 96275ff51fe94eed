// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_history.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "lib/format/qcow2/qcow2_geometry.h"
#include "lib/format/qcow2/qcow2_map.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// Two states of one image. Clusters are shared as long as nobody writes to them, so where both
/// name the same place, both have the same bytes; and below an L2 table that both have nobody needs
/// to look. It is the same for encrypted ones: what is encrypted depends on the place alone.
class Qcow2Changes final : public Changes {
 public:
  Qcow2Changes(const Qcow2Parts& before, const Qcow2Parts& after, const Qcow2Header& header)
      : file_(before.file),
        before_(*file_, geometry_of(before, header), 0, before.tables),
        after_(*file_, geometry_of(after, header), 0, after.tables),
        common_(std::min(before_.geometry().virtual_size, after_.geometry().virtual_size)) {}

  Run run_at(uint64_t offset, uint64_t max) const override {
    if (offset >= common_) {
      return {max, true};
    }
    const uint64_t end = std::min(offset + max, common_);
    Qcow2Map::Walker before(before_, Qcow2Map::View::kLayer);
    Qcow2Map::Walker after(after_, Qcow2Map::View::kLayer);
    Run run = step(before, after, offset, end);
    while (offset + run.length < end) {
      const Run more = step(before, after, offset + run.length, end);
      if (more.may_differ != run.may_differ) {
        break;
      }
      run.length += more.length;
    }
    return run;
  }

 private:
  static Run step(Qcow2Map::Walker& before, Qcow2Map::Walker& after, uint64_t offset,
                  uint64_t end) {
    if (const uint64_t shared = after.same_tables(before, offset, end - offset); shared > 0) {
      return {shared, false};
    }
    const Mapping old = before.next(offset, end - offset);
    const Mapping now = after.next(offset, end - offset);
    const bool same = old.kind == now.kind && old.host_offset == now.host_offset;
    return {std::min(old.length, now.length), !same};
  }

  const std::shared_ptr<const Source> file_;
  const Qcow2Map before_;
  const Qcow2Map after_;
  const uint64_t common_;
};

}  // namespace

const std::vector<Qcow2Snapshot>& Qcow2History::snapshots() const {
  const std::lock_guard lock(mutex_);
  if (!is_read_) {
    require_own_data();
    snapshots_ = read_qcow2_snapshots(*parts_.file, header_);
    std::stable_sort(snapshots_.begin(), snapshots_.end(),
                     [](const Qcow2Snapshot& a, const Qcow2Snapshot& b) {
                       return std::tie(a.date_seconds, a.date_nanoseconds) <
                              std::tie(b.date_seconds, b.date_nanoseconds);
                     });
    is_read_ = true;
  }
  return snapshots_;
}

/// What is written into a data file is written over what a snapshot has there.
void Qcow2History::require_own_data() const {
  if (header_.has_data_file() && header_.snapshot_count > 0) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = parts_.file->name(),
                 .action = "look for its snapshots",
                 .cause = "an image with an external data file cannot have snapshots"});
  }
}

std::vector<Point> Qcow2History::points() const {
  std::vector<Point> points;
  for (const Qcow2Snapshot& snapshot : snapshots()) {
    points.push_back({.name = snapshot.name,
                      .id = snapshot.id,
                      .size = snapshot.virtual_size.value_or(header_.virtual_size),
                      .seconds = snapshot.date_seconds,
                      .vm_state_bytes = snapshot.vm_state_bytes});
  }
  return points;
}

Qcow2Parts Qcow2History::parts_at(size_t index) const {
  Qcow2Parts parts = parts_;
  const auto& all = snapshots();
  if (index < all.size()) {
    parts.snapshot = all[index];
    parts.has_size_of_snapshot = true;
  }
  return parts;
}

std::unique_ptr<Changes> Qcow2History::changes(size_t before, size_t after) const {
  return std::make_unique<Qcow2Changes>(parts_at(before), parts_at(after), header_);
}

}  // namespace vmferry
