// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <rbd/features.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>

#include "lib/store/rbd/rbd.h"
#include "lib/store/rbd/rbd_admin.h"
#include "lib/store/rbd/rbd_checksums.h"
#include "lib/store/rbd/rbd_image.h"
#include "lib/store/rbd/rbd_marks.h"
#include "lib/store/rbd/rbd_new_volume.h"
#include "lib/store/rbd/rbd_source.h"

namespace vmferry {
namespace {

// Half of a usual object: while the OSD writes one half, the other is on its way (a fifth less time
// than whole ones); and the buffers of a copy stay small.
constexpr uint64_t kLargestWrite = 2 << 20;
// Of a volume that grows, at a time.
constexpr uint64_t kLeastGrowth = uint64_t{1} << 30;
constexpr uint64_t kMostGrowth = uint64_t{64} << 30;
constexpr unsigned kSilencePatience = 5;  // times the limit for monitors: see CephClient, and one

/// Beyond the limit of one operation: it ends by itself with an error that says more.
SilenceLimit for_contact(const CephOptions& ceph, std::chrono::seconds claim = {}) {
  return {.silence = std::chrono::seconds(ceph.timeout * kSilencePatience) + claim,
          .after_stop = std::chrono::seconds(std::min(ceph.timeout, 5U))};
}
SilenceLimit for_work(const CephOptions& ceph) {
  SilenceLimit limit = for_contact(ceph);
  if (ceph.stall_timeout) {
    limit.silence = std::chrono::seconds(*ceph.stall_timeout + ceph.timeout);
  }
  return limit;
}

/// Clearing up after a failure waits no second time for a cluster that is away.
SilenceLimit for_end(const CephOptions& ceph) {
  const std::chrono::seconds limit(std::min(ceph.timeout, 10U));
  return {.silence = limit, .after_stop = limit};
}

/// Every call that may hang with the cluster runs in a thread that is left behind if need be. With
/// it stays what it uses: the target.
class VolumeTarget : public Target, private Sink, private TargetNotes {
 public:
  VolumeTarget(const RbdLocation& location, const TargetOptions& options)
      : location_(location), name_(location.display()), options_(options), size_(options.size) {
    refuse_snapshot_target();
    refuse_reserved_name();
    refuse_many_marks();
    volume_ = std::make_shared<RbdNewVolume>(location, options);
    try {
      const auto claim = options.resume ? RbdNewVolume::kClaimPatience : std::chrono::seconds(0);
      call([](RbdNewVolume& target) { target.begin(); }, for_contact(options.network.ceph, claim));
      learn_traits();
      volume_->pool().client().allow_stalls();
      if (options.network.ceph.stall_timeout) {
        volume_->flight().allow_full(std::chrono::seconds(*options.network.ceph.stall_timeout));
        stopped_.emplace(options.stop, StopTrying{volume_});
      }
    } catch (...) {
      end();
      throw;
    }
  }

  ~VolumeTarget() override { end(); }

  Sink& sink() override { return *this; }
  void publish() override {
    call([](RbdNewVolume& target) { target.publish(); });
  }

  bool can_mark() const override { return true; }
  std::string mark(const Point& point) override {
    auto name = std::make_shared<std::string>();
    call([name, point](RbdNewVolume& target) { *name = target.mark(point); });
    return *name;
  }
  std::vector<std::string> marks(const std::vector<Point>& states) override {
    if (!adopted()) {
      return {};
    }
    auto names = std::make_shared<std::vector<std::string>>();
    call([names, states](RbdNewVolume& target) { *names = target.marks(states); });
    return std::move(*names);
  }

  std::optional<TargetBase> base() const override {
    return volume_->base() ? std::optional(TargetBase{&volume_->base()->disk(), object_size_})
                           : std::nullopt;
  }
  TargetNotes* notes() override { return may_be_resumed_ ? this : nullptr; }
  bool adopted() const override { return volume_->adopted(); }
  std::string keep() override {
    if (volume_->published() || volume_->claim().taken_over()) {
      return {};
    }
    volume_->keep();
    return "rbd rm " + volume_->partial().ceph_name();
  }

 private:
  std::map<std::string, std::string> read() override {
    auto notes = std::make_shared<std::map<std::string, std::string>>();
    call([notes](RbdNewVolume& target) { *notes = target.read_notes(); });
    return std::move(*notes);
  }
  void write(const std::string& key, const std::string& text) override {
    call([key, text](RbdNewVolume& target) { target.write_note(key, text); });
  }

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  SinkTraits traits() const override {
    return {.write_size = write_size_,
            .zero_granularity = granularity_,
            .starts_zeroed = !volume_->adopted() && !volume_->base(),
            .has_checksums = checksums_ != nullptr};
  }

  void write_at(uint64_t offset, Slice data) override {
    volume_->claim().check_known();
    volume_->flight().write(volume_->image(), offset, std::move(data));
  }

  /// Not all that librbd waits for has a time limit (its lock has none): a cluster that stays away
  /// is noticed by its silence. Clearing up is left to end(), which may leave it behind.
  void check_writes() override {
    volume_->claim().check_known();
    volume_->flight().rethrow();
    if (volume_->flight().silent_for() > for_work(options_.network.ceph).silence) {
      throw silent();
    }
  }

  std::chrono::milliseconds silent_for() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(volume_->flight().silent_for());
  }

  void zero_range(uint64_t offset, uint64_t length) override {
    call([offset, length](RbdNewVolume& target) {
      const ssize_t rc = rbd_write_zeroes(target.image(), offset, length, 0, 0);
      if (rc < 0) {
        throw target.data_error(static_cast<int>(rc), "write zeros", offset);
      }
    });
  }

  /// In steps, since each is a change of its header: as much again, within limits. Without an
  /// object map, each object that is too many is asked for when it is cut.
  void grow(uint64_t size) override {
    if (size > size_) {
      resize(std::max(size, size_ + std::clamp(size_.load(), kLeastGrowth, kMostGrowth)));
    }
  }
  void set_size(uint64_t size) override {
    call([](RbdNewVolume& target) {
      target.flight().wait();
      target.flight().rethrow();
    });
    resize(size);
    checksums_ = RbdChecksums::of(volume_->pool(), volume_->image(), location_);
  }

  void resize(uint64_t size) {
    call([location = location_, size](RbdNewVolume& target) {
      const auto beat = [](uint64_t /*done*/, uint64_t /*total*/, void* pulse) {
        static_cast<Pulse*>(pulse)->beat();
        return 0;
      };
      const int rc = rbd_resize_with_progress(target.image(), size, beat, &target.pulse());
      if (rc < 0) {
        throw rbd_error(rc, location, fmt::format("set the size to {} bytes", size));
      }
    });
    size_ = size;
  }

  void barrier() override {
    call([](RbdNewVolume& target) {
      target.flight().wait_for_present();
      target.flight().rethrow();
      const int rc = rbd_flush(target.image());
      if (rc < 0) {
        throw target.data_error(rc, "flush");
      }
      target.claim().check();
    });
  }

  void flush() override {
    call([](RbdNewVolume& target) {
      target.flight().wait();
      target.flight().rethrow();
      const int rc = rbd_flush(target.image());
      if (rc < 0) {
        throw target.data_error(rc, "flush");
      }
      target.claim().check_known();  // publish() asks
    });
  }

  void check_early(std::span<const DiskDigest::Known> blocks, std::stop_token stop) override {
    if (!checksums_) {
      return;
    }
    try {
      checksums_->check_early(blocks, stop);
    } catch (const Error&) {
      drop_questions();
      throw;
    }
    drop_questions();
  }

  std::unique_ptr<Source> read_back() override {
    return read_rbd_volume(volume_->partial(), {volume_, &volume_->pool()});
  }

  std::optional<std::vector<uint64_t>> find_different(const DiskDigest& digest, Progress& counters,
                                                      std::stop_token stop) override {
    if (!checksums_) {
      return std::nullopt;
    }
    auto objects = std::make_shared<std::vector<Extent>>();
    call([checksums = checksums_, objects](RbdNewVolume& target) {
      *objects = checksums->find_objects(target.pulse());
    });
    std::optional<std::vector<uint64_t>> different;
    try {
      different = checksums_->find_different(digest, *objects, counters, stop);
    } catch (const Error&) {
      drop_questions();
      throw;
    }
    drop_questions();
    return different;
  }

  /// The answers go into what was asked: if they do not come, both are left behind.
  void drop_questions() {
    call([checksums = checksums_](RbdNewVolume&) { checksums->drop_questions(); });
  }

  void refuse_snapshot_target() const {
    if (location_.snapshot.empty()) {
      return;
    }
    throw Error({.kind = ErrorKind::kUsage,
                 .object = name_,
                 .action = "create",
                 .cause = "a snapshot cannot be written to",
                 .hint = "name a volume, without the @"});
  }

  /// A run to the volume NAME removes these as its own.
  void refuse_reserved_name() const {
    for (const std::string& name : {partial_of({}).image, old_of({}).image}) {
      if (!location_.image.ends_with(name)) {
        continue;
      }
      throw Error({.kind = ErrorKind::kUsage,
                   .object = name_,
                   .action = "create",
                   .cause = "names that end with '" + name + "' are for unfinished copies",
                   .hint = "choose another name"});
    }
  }

  void refuse_many_marks() const {
    if (options_.marks <= kMostRbdSnapshots) {
      return;
    }
    throw Error({.kind = ErrorKind::kUsage,
                 .object = name_,
                 .action = "create",
                 .cause = fmt::format("a volume can have {} snapshots, and {} are wanted",
                                      kMostRbdSnapshots, options_.marks),
                 .hint = "name those that matter: --snapshots NAME,..."});
  }

  void learn_traits() {
    rbd_image_info_t info;
    const int rc = rbd_stat(volume_->image(), &info, sizeof info);
    if (rc < 0) {
      throw rbd_error(rc, location_, "stat");
    }
    size_ = info.size;
    object_size_ = static_cast<uint32_t>(info.obj_size);
    write_size_ = static_cast<uint32_t>(std::clamp<uint64_t>(info.obj_size, 4096, kLargestWrite));
    granularity_ = std::min(granularity_, write_size_);
    uint64_t features = 0;
    // What a journal holds shows in the objects only when somebody has opened the volume to write.
    may_be_resumed_ = !volume_->base() && rbd_get_features(volume_->image(), &features) >= 0 &&
                      (features & RBD_FEATURE_JOURNALING) == 0;
    checksums_ = RbdChecksums::of(volume_->pool(), volume_->image(), location_);
  }

  void call(std::function<void(RbdNewVolume&)> work) {
    call(std::move(work), for_work(options_.network.ceph));
  }
  void call(std::function<void(RbdNewVolume&)> work, const SilenceLimit& limit) {
    if (gave_up_) {  // a call may still be under way
      throw options_.stop.stop_requested() ? cancelled_error() : silent();
    }
    volume_->pulse().beat();
    BlockingCall call([target = volume_, work = std::move(work)] { work(*target); });
    if (call.wait(volume_->pulse(), limit, options_.stop)) {
      return call.result();
    }
    gave_up_ = true;
    if (options_.stop.stop_requested()) {
      throw cancelled_error();
    }
    throw silent();
  }

  Error silent() const { return rbd_error(-ETIMEDOUT, location_, "wait for the cluster"); }

  void end() noexcept {
    if (!volume_) {
      return;
    }
    for (const std::string& line : gave_up_ ? volume_->left_behind() : end_in_time()) {
      if (options_.notice) {
        options_.notice(line);
      }
    }
    stopped_.reset();
    checksums_.reset();
    volume_.reset();
  }

  std::vector<std::string> end_in_time() noexcept {
    volume_->pulse().beat();
    auto left = std::make_shared<std::vector<std::string>>();
    try {
      BlockingCall call([target = volume_, left] { *left = target->end(); });
      if (!call.wait(volume_->pulse(), for_end(options_.network.ceph), {})) {
        return volume_->left_behind();
      }
      return std::move(*left);
    } catch (const Error&) {  // no thread is to be had
      return volume_->end();
    }
  }

  struct StopTrying {
    std::shared_ptr<RbdNewVolume> volume;
    void operator()() { volume->flight().stop_trying_again(); }
  };

  const RbdLocation location_;
  const std::string name_;
  const TargetOptions options_;
  std::atomic<uint64_t> size_;
  std::shared_ptr<RbdNewVolume> volume_;
  std::shared_ptr<RbdChecksums> checksums_;  // null: the OSDs cannot tell
  std::optional<std::stop_callback<StopTrying>> stopped_;
  bool may_be_resumed_ = false;
  std::atomic<bool> gave_up_ = false;
  uint32_t object_size_ = 0;
  uint32_t write_size_ = kLargestWrite;
  // Skipping a short run of zeros saves less than the extra operation costs.
  uint32_t granularity_ = 64 << 10;
};

}  // namespace

std::unique_ptr<Target> open_rbd_target(const RbdLocation& location, const TargetOptions& options) {
  return std::make_unique<VolumeTarget>(location, options);
}

}  // namespace vmferry
