// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_history.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "lib/core/zeros.h"
#include "lib/store/extent_cache.h"
#include "lib/store/rbd/rbd_diff.h"
#include "lib/store/rbd/rbd_facts.h"

namespace vmferry {
namespace {

constexpr uint64_t kObjectsPerQuestion = 65536;
constexpr size_t kMostChanges = 1 << 20;  // 24 MiB

int add_change(uint64_t offset, size_t length, int /*exists*/, void* runs) {
  append_run(*static_cast<std::vector<Extent>*>(runs), {offset, length, ExtentKind::kData});
  return 0;
}

/// In order, and none of them over another.
std::vector<Extent> united(std::vector<Extent> runs) {
  std::sort(runs.begin(), runs.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  std::vector<Extent> result;
  for (const Extent& run : runs) {
    if (!result.empty() && run.offset <= result.back().end()) {
      result.back().length = std::max(result.back().end(), run.end()) - result.back().offset;
    } else {
      result.push_back(run);
    }
  }
  return result;
}

/// How much of a state is known to be in the objects that librbd compares.
struct Bounds {
  uint64_t size = 0;
  uint64_t overlap = 0;  ///< with the volume that it is a clone of
};

/// Objects are compared by their own snapshots: of each that exists, librbd asks its OSD which
/// bytes have changed. That says nothing of what shows through from a parent, and stops doing so
/// when a volume is made smaller: from there on all may differ.
///
/// Which objects have changed at all, the object map would tell at once ("fast-diff"), and must not
/// be asked: a rollback gives the volume the map of that snapshot, in which an object is clean that
/// was written to between it and a later one (seen with Ceph 16; 'rbd diff --whole-object' is wrong
/// then). Which objects exist, it tells truly.
class RbdChanges final : public Changes {
 public:
  RbdChanges(std::shared_ptr<const RbdPool> pool, const RbdLocation& location,
             const std::string& before)
      : pool_(std::move(pool)), location_(location), before_(before) {
    RbdLocation old = location;
    old.snapshot = before;
    const Bounds was = open(old_image_, old);
    const Bounds is = open(image_, location);
    compared_ = std::min(was.size, is.size);
    if (was.overlap != is.overlap) {
      compared_ = std::min({compared_, was.overlap, is.overlap});
    }
    rbd_image_info_t info;
    check(rbd_stat(image_.get(), &info, sizeof info), location, "stat");
    changes_.emplace(compared_, kObjectsPerQuestion * info.obj_size, kMostChanges,
                     [this](uint64_t offset, uint64_t length) { return ask(offset, length); });
  }

  Run run_at(uint64_t offset, uint64_t max) const override {
    if (offset >= compared_) {
      return {max, true};
    }
    const Extent run = changes_->extent_at(offset, std::min(max, compared_ - offset));
    return {run.length, !run.is_zero()};
  }

 private:
  static void check(int rc, const RbdLocation& location, const char* action) {
    if (rc < 0) {
      throw rbd_error(rc, location, action);
    }
  }

  Bounds open(RbdImage& image, const RbdLocation& state) const {
    check(image.open(pool_->io(), state.image, state.snapshot, true), state, "open");
    Bounds bounds;
    check(rbd_get_size(image.get(), &bounds.size), state, "ask for its size");
    check(rbd_get_overlap(image.get(), &bounds.overlap), state, "ask for its overlap");
    return bounds;
  }

  /// The objects that the two have, whole, and no others.
  std::vector<Extent> objects(const Extent& range) const {
    std::vector<Extent> all;
    const auto add = [&all](const Extent& run) { all.push_back(run); };
    const RbdView is = {pool_->io(), image_.get(), location_.snapshot};
    check(visit_rbd_data(is, range, RbdDiff::kObjects, add), location_, "ask what it has");
    const RbdView was = {pool_->io(), old_image_.get(), before_};
    check(visit_rbd_data(was, range, RbdDiff::kObjects, add), location_, "ask what it had");
    return united(std::move(all));
  }

  std::vector<Extent> ask(uint64_t offset, uint64_t length) const {
    std::vector<Extent> runs;
    for (const Extent& run : objects({offset, length, ExtentKind::kData})) {
      check(rbd_diff_iterate2(image_.get(), before_.c_str(), run.offset, run.length, 0, 0,
                              add_change, &runs),
            location_, "ask what has changed");
    }
    return runs;
  }

  const std::shared_ptr<const RbdPool> pool_;
  const RbdLocation location_;
  const std::string before_;
  RbdImage old_image_;
  RbdImage image_;
  uint64_t compared_ = 0;
  mutable std::optional<ExtentCache> changes_;
};

Point point_of(const SnapshotFacts& snapshot) {
  Point point = {.name = snapshot.name, .id = snapshot.id};
  point.size = snapshot.virtual_size.value_or(0);
  point.first_name = snapshot.recorded_name;
  // When the state was, not when the copy came to it.
  const int64_t seconds =
      snapshot.recorded_seconds != 0 ? snapshot.recorded_seconds : snapshot.date_seconds;
  if (seconds != 0) {
    point.seconds = seconds;
  }
  return point;
}

}  // namespace

std::vector<Point> rbd_points(rbd_image_t image, const RbdLocation& location) {
  std::vector<Point> points;
  for (const SnapshotFacts& snapshot : read_rbd_snapshots(image, location)) {
    if (snapshot.name == location.snapshot) {
      break;
    }
    points.push_back(point_of(snapshot));
  }
  return points;
}

std::optional<Point> rbd_point(rbd_image_t image, const RbdLocation& location) {
  for (const SnapshotFacts& snapshot : read_rbd_snapshots(image, location)) {
    if (snapshot.name == location.snapshot) {
      return point_of(snapshot);
    }
  }
  return std::nullopt;
}

std::unique_ptr<Changes> rbd_changes(std::shared_ptr<const RbdPool> pool,
                                     const RbdLocation& location, const std::string& before) {
  return std::make_unique<RbdChanges>(std::move(pool), location, before);
}

}  // namespace vmferry
