// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_source.h"
#include "lib/core/map_store.h"

#include <rbd/features.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <optional>

#include "lib/core/blocking_call.h"
#include "lib/core/zeros.h"
#include "lib/store/extent_cache.h"
#include "lib/store/rbd/rbd.h"
#include "lib/store/rbd/rbd_diff.h"
#include "lib/store/rbd/rbd_facts.h"
#include "lib/store/rbd/rbd_history.h"
#include "lib/store/rbd/rbd_stamp.h"
#include "vmferry/map.h"

namespace vmferry {
namespace {

// Without an object map each object is asked for, so that a piece costs by its length, wherever it
// is.
constexpr uint64_t kObjectsPerPiece = 65536;
// The map is read as a whole for any piece, however short. So the pieces are few.
constexpr uint64_t kPiecesOfMap = 8;
constexpr size_t kMostExtents = 1 << 20;  // 24 MiB
// What librbd has copied into place is still in the processor's cache when it is looked at and
// written: 1 MiB and more take a third longer to a file, and more memory.
constexpr uint64_t kLongestAlignment = 512 << 10;

/// How many bytes are worth one question.
uint64_t piece_of(rbd_image_t image, const rbd_image_info_t& info) {
  const uint64_t objects = has_object_map(image) ? info.num_objs / kPiecesOfMap + 1 : 0;
  return std::max(objects, kObjectsPerPiece) * info.obj_size;
}

/// Reads block; the copier's many workers make the queue deep.
class RbdSource : public Source, public Layout, public History, public DescribedBytes {
 public:
  RbdSource(const RbdLocation& location, std::shared_ptr<const RbdPool> pool)
      : location_(location), name_(location.display()), pool_(std::move(pool)) {
    const int rc = image_.open(pool_->io(), location.image, location.snapshot, true);
    if (rc == -ENOENT) {
      throw missing();
    }
    if (rc < 0) {
      throw rbd_error(rc, location_, "open");
    }
    rbd_image_info_t info;
    const int stat_rc = rbd_stat(image_.get(), &info, sizeof info);
    if (stat_rc < 0) {
      throw rbd_error(stat_rc, location_, "stat");
    }
    size_ = info.size;
    object_size_ = info.obj_size;
    extents_.emplace(size_, piece_of(image_.get(), info), kMostExtents,
                     [this](uint64_t offset, uint64_t length) { return ask(offset, length); });
    stamp_ = take_rbd_stamp(*pool_, image_.get(), location_);
    identity_ = pool_->identity_of(image_.get(), location_);
    pool_->client().allow_stalls();
  }

  const Identity& identity() const { return identity_; }
  bool being_written() const {
    return location_.snapshot.empty() && count_writers(image_.get(), location_) > 0;
  }

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  uint64_t read_alignment() const override { return std::min(object_size_, kLongestAlignment); }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    return extents_->extent_at(offset, max);
  }

  void check_unchanged() const override {
    const std::lock_guard lock(check_mutex_);
    check_rbd_unchanged(*pool_, location_, stamp_);
  }
  std::string stamp() const override { return identity_.text + ", " + text_of(stamp_); }
  void check_still_there() const override {
    const std::lock_guard lock(check_mutex_);
    check_rbd_still_there(*pool_, location_, stamp_);
  }

  void describe(ImageFacts& facts) const override {
    facts.rbd = read_rbd_facts(pool_->io(), image_.get(), location_);
    facts.allocated_bytes = facts.rbd->used_bytes;
  }
  std::optional<uint64_t> allocated_bytes() const override {
    return used_bytes({pool_->io(), image_.get(), location_.snapshot}, size_);
  }

  void map(uint64_t offset, uint64_t length, const MapVisitor& visit) const override {
    map_store(*this, offset, length, visit);
  }

  std::vector<Point> points() const override {
    const std::lock_guard lock(points_mutex_);
    if (!points_) {  // who counts them does not see that one goes meanwhile
      points_ = rbd_points(image_.get(), location_);
    }
    return *points_;
  }
  std::vector<std::string> left_out() const override {
    return rbd_other_snapshots(image_.get(), location_);
  }
  std::optional<Point> here() const override { return rbd_point(image_.get(), location_); }
  std::unique_ptr<Source> open_point(size_t index) const override {
    return std::make_unique<RbdSource>(state(index), pool_);
  }
  std::unique_ptr<Changes> changes(size_t before, size_t after) const override {
    return rbd_changes(pool_, state(after), state(before).snapshot);
  }

  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    const ssize_t got = read(offset, out);
    if (got == -ENOENT) {
      check_still_there();  // then that is why
    }
    if (got < 0) {
      throw rbd_error(static_cast<int>(got), location_, "read", offset);
    }
    if (static_cast<size_t>(got) != out.size()) {
      check_still_there();  // then that is why
      throw Error({.kind = ErrorKind::kIo,
                   .object = name_,
                   .action = "read",
                   .offset = offset,
                   .cause = "the volume ends here, it was longer a moment ago",
                   .hint = "something resized the volume while it was being read"});
    }
  }

  std::chrono::milliseconds silent_for() const override {
    return reads_ == 0 ? std::chrono::milliseconds(0)
                       : std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::chrono::steady_clock::now() - pulse_.last());
  }

 private:
  RbdLocation state(size_t index) const {
    RbdLocation state = location_;
    const std::vector<Point> all = points();
    if (index < all.size()) {
      state.snapshot = all[index].name;
    }
    return state;
  }

  ssize_t read(uint64_t offset, std::span<std::byte> out) const {
    if (reads_++ == 0) {
      pulse_.beat();
    }
    const ssize_t got =
        rbd_read(image_.get(), offset, out.size(), reinterpret_cast<char*>(out.data()));
    pulse_.beat();
    --reads_;
    return got;
  }

  Error missing() const {
    const bool snapshot = !location_.snapshot.empty();
    return Error(
        {.kind = ErrorKind::kNotFound,
         .object = name_,
         .action = "open",
         .cause = snapshot ? "no such volume or snapshot" : "no such volume",
         .hint = snapshot
                     ? "'rbd snap ls " + location_.beside(location_.image).ceph_name() +
                           "' shows its snapshots"
                     : "'rbd ls " + location_.beside("").ceph_name() + "' shows those there are"});
  }

  std::vector<Extent> ask(uint64_t offset, uint64_t length) const {
    std::vector<Extent> data;
    const int rc = visit_rbd_data({pool_->io(), image_.get(), location_.snapshot}, {offset, length},
                                  RbdDiff::kObjectsAndParents,
                                  [&data](const Extent& extent) { append_run(data, extent); });
    // Extents only save work: if the cluster cannot tell, all of it is read.
    if (rc < 0) {
      data.assign(1, {offset, length, ExtentKind::kData});
    }
    return data;
  }

  const RbdLocation location_;
  const std::string name_;
  const std::shared_ptr<const RbdPool> pool_;
  RbdImage image_;
  uint64_t size_ = 0;
  uint64_t object_size_ = 0;
  RbdStamp stamp_;
  Identity identity_;
  mutable std::atomic<unsigned> reads_ = 0;  ///< under way
  mutable Pulse pulse_;                      ///< beats when one has ended
  mutable std::mutex check_mutex_;
  mutable std::mutex points_mutex_;
  mutable std::optional<std::vector<Point>> points_;
  mutable std::optional<ExtentCache> extents_;
};

}  // namespace

std::unique_ptr<Source> read_rbd_volume(const RbdLocation& location,
                                        std::shared_ptr<const RbdPool> pool) {
  return std::make_unique<RbdSource>(location, std::move(pool));
}

OpenBytes open_rbd_source(const RbdLocation& location, const CephOptions& options) {
  auto source = std::make_unique<RbdSource>(
      location, std::make_shared<const RbdPool>(location, options, CephSharing::kShared));
  const Identity identity = source->identity();
  const bool being_written = source->being_written();
  return {std::move(source), identity, being_written};
}

}  // namespace vmferry
