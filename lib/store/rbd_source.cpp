// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <cerrno>
#include <mutex>

#include "lib/core/zeros.h"
#include "lib/store/rbd.h"
#include "lib/store/rbd_cluster.h"
#include "lib/store/rbd_facts.h"
#include "lib/store/rbd_stamp.h"
#include "vmferry/map.h"

namespace vmferry {
namespace {

// One answer of rbd_diff_iterate2 is kept. Asking costs a read of the whole object map, so it has
// to cover much; whole objects keep it small: at most one extent for every object.
constexpr uint64_t kObjectsPerAnswer = 65536;
constexpr uint64_t kLongestAlignment = 4 << 20;

int note_extent(uint64_t offset, size_t length, int exists, void* list) {
  if (exists != 0) {
    append_run(*static_cast<std::vector<Extent>*>(list), {offset, length, ExtentKind::kData});
  }
  return 0;
}

/// Reads block; the copier's many workers make the queue deep.
class RbdSource : public Source, public Layout, public Volume {
 public:
  RbdSource(const RbdLocation& location, const CephOptions& options)
      : location_(location), name_(location.display()), pool_(location, options) {
    const int rc = image_.open(pool_.io(), location.image, location.snapshot, true);
    if (rc == -ENOENT) throw missing();
    if (rc < 0) throw rbd_error(rc, location_, "open");
    rbd_image_info_t info;
    const int stat_rc = rbd_stat(image_.get(), &info, sizeof info);
    if (stat_rc < 0) throw rbd_error(stat_rc, location_, "stat");
    size_ = info.size;
    object_size_ = info.obj_size;
    stamp_ = take_rbd_stamp(pool_, image_.get(), location_);
  }

  Identity identity() const { return pool_.identity_of(image_.get(), location_); }
  bool being_written() const {
    return location_.snapshot.empty() && count_writers(image_.get(), location_) > 0;
  }

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  uint64_t read_alignment() const override { return std::min(object_size_, kLongestAlignment); }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    std::lock_guard lock(mutex_);
    if (offset < answer_begin_ || offset >= answer_end_) ask(offset);
    max = std::min(max, answer_end_ - offset);
    // The first extent that ends behind `offset`: we are in it, or in the hole before it.
    const auto next =
        std::upper_bound(data_.begin(), data_.end(), offset,
                         [](uint64_t at, const Extent& extent) { return at < extent.end(); });
    if (next == data_.end()) return {offset, max, ExtentKind::kZero};
    if (next->offset > offset) {
      return {offset, std::min(max, next->offset - offset), ExtentKind::kZero};
    }
    return {offset, std::min(max, next->end() - offset), ExtentKind::kData};
  }

  void check_unchanged() const override {
    const std::lock_guard lock(check_mutex_);
    check_rbd_unchanged(pool_, location_, stamp_);
  }

  RbdFacts facts() const override { return read_rbd_facts(pool_.io(), image_.get(), location_); }
  std::optional<uint64_t> allocated_bytes() const override {
    return used_bytes(image_.get(), size_);
  }

  void map(uint64_t offset, uint64_t length, const MapVisitor& visit) const override {
    for (const uint64_t end = offset + length; offset < end;) {
      const Extent extent = extent_at(offset, end - offset);
      visit({.offset = offset,
             .length = extent.length,
             .kind = extent.is_zero() ? MappedKind::kHole : MappedKind::kData,
             .is_present = true,
             .host_offset = offset,
             .file = name_});
      offset = extent.end();
    }
  }

  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    const ssize_t got =
        rbd_read(image_.get(), offset, out.size(), reinterpret_cast<char*>(out.data()));
    if (got < 0) throw rbd_error(static_cast<int>(got), location_, "read", offset);
    if (static_cast<size_t>(got) != out.size()) {
      check_unchanged();  // then that is why
      throw Error({.kind = ErrorKind::kIo,
                   .object = name_,
                   .action = "read",
                   .offset = offset,
                   .cause = "the volume ends here, it was longer a moment ago",
                   .hint = "something resized the volume while it was being read"});
    }
  }

 private:
  Error missing() const {
    const bool snapshot = !location_.snapshot.empty();
    return Error(
        {.kind = ErrorKind::kNotFound,
         .object = name_,
         .action = "open",
         .cause = snapshot ? "there is no such volume or snapshot" : "there is no such volume",
         .hint = snapshot ? "'rbd snap ls " + location_.pool + "/" + location_.image +
                                "' shows its snapshots"
                          : "'rbd ls " + location_.pool + "' shows those there are"});
  }

  /// REQUIRES: mutex_ held.
  void ask(uint64_t offset) const {
    const uint64_t span = object_size_ * kObjectsPerAnswer;
    answer_begin_ = offset / span * span;
    answer_end_ = std::min(size_, answer_begin_ + span);
    data_.clear();
    const uint64_t length = answer_end_ - answer_begin_;
    const int rc =
        rbd_diff_iterate2(image_.get(), nullptr, answer_begin_, length, 1, 1, note_extent, &data_);
    // Extents only save work: if the cluster cannot tell, all of it is read.
    if (rc < 0) data_.assign(1, {answer_begin_, length, ExtentKind::kData});
  }

  const RbdLocation location_;
  const std::string name_;
  RbdPool pool_;
  RbdImage image_;
  uint64_t size_ = 0;
  uint64_t object_size_ = 0;
  RbdStamp stamp_;
  mutable std::mutex check_mutex_;

  mutable std::mutex mutex_;
  mutable std::vector<Extent> data_;  // of [answer_begin_, answer_end_), sorted
  mutable uint64_t answer_begin_ = 0;
  mutable uint64_t answer_end_ = 0;
};

}  // namespace

OpenVolume open_rbd_source(const RbdLocation& location, const CephOptions& options) {
  auto source = std::make_unique<RbdSource>(location, options);
  const Identity identity = source->identity();
  const bool being_written = source->being_written();
  return {std::move(source), identity, being_written};
}

}  // namespace vmferry
