// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "lib/store/rbd.h"
#include "lib/store/rbd_cluster.h"
#include "lib/store/rbd_image.h"

namespace vmferry {
namespace {

constexpr const char* kOldSuffix = ".vmferry-old";
// Monitors hear of usage every few seconds: so long a full pool may refuse.
constexpr std::chrono::seconds kRemovePatience{20};
constexpr uint64_t kLargestWrite = 4 << 20;  // keeps the buffers of a copy small with huge objects

/// Writes that are under way: counts them, keeps the first error. Callbacks run in librbd's threads
/// and touch nothing else.
class Flight {
 public:
  struct Write {
    Flight* flight;
    uint64_t offset;
    Slice data;
  };

  void start() {
    std::lock_guard lock(mutex_);
    ++count_;
  }

  /// Result first, then the signal; both under the lock, so that who waits may destroy us right
  /// after.
  void finish(int rc, uint64_t offset) {
    std::lock_guard lock(mutex_);
    if (rc < 0 && first_rc_ == 0) {
      first_rc_ = rc;
      first_offset_ = offset;
    }
    if (--count_ == 0) landed_.notify_all();
  }

  void wait() {
    std::unique_lock lock(mutex_);
    landed_.wait(lock, [this] { return count_ == 0; });
  }

  void rethrow(const RbdLocation& location) {
    std::lock_guard lock(mutex_);
    if (first_rc_ < 0) throw rbd_error(first_rc_, location, "write", first_offset_);
  }

  static void on_complete(rbd_completion_t completion, void* argument) {
    std::unique_ptr<Write> write(static_cast<Write*>(argument));
    const auto rc = static_cast<int>(rbd_aio_get_return_value(completion));
    rbd_aio_release(completion);
    Flight* flight = write->flight;
    const uint64_t offset = write->offset;
    write.reset();  // the buffer goes back before anybody is told
    flight->finish(rc, offset);
  }

 private:
  std::mutex mutex_;
  std::condition_variable landed_;
  size_t count_ = 0;
  int first_rc_ = 0;
  uint64_t first_offset_ = 0;
};

class RbdSink : public Sink {
 public:
  RbdSink(const RbdLocation& location, const TargetOptions& options)
      : location_(location),
        partial_(location),
        name_(location.display()),
        ceph_(options.ceph),
        size_(options.size),
        pool_(location, options.ceph) {
    partial_.image += kRbdPartialSuffix;
    refuse_snapshot_target();
    replaces_ = look_at_existing(options);
    if (options.before_making) options.before_making();
    clear_left_over();
    create(options.layout);
  }

  ~RbdSink() override {
    flight_.wait();
    image_.close();
    if (created_ && !published_) discard_partial();
  }

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  SinkTraits traits() const override {
    return {.write_size = write_size_, .zero_granularity = granularity_, .starts_zeroed = true};
  }

  void write_at(uint64_t offset, Slice data) override {
    flight_.rethrow(location_);
    const auto bytes = data.bytes();
    std::unique_ptr<Flight::Write> write(new Flight::Write{&flight_, offset, std::move(data)});
    rbd_completion_t completion = nullptr;
    int rc = rbd_aio_create_completion(write.get(), Flight::on_complete, &completion);
    if (rc < 0) throw rbd_error(rc, location_, "write", offset);
    flight_.start();
    rc = rbd_aio_write(image_.get(), offset, bytes.size(),
                       reinterpret_cast<const char*>(bytes.data()), completion);
    if (rc < 0) {  // not queued: no callback will come
      rbd_aio_release(completion);
      flight_.finish(rc, offset);
      throw rbd_error(rc, location_, "write", offset);
    }
    write.release();
  }

  void zero_range(uint64_t offset, uint64_t length) override {
    const ssize_t rc = rbd_write_zeroes(image_.get(), offset, length, 0, 0);
    if (rc < 0) throw rbd_error(static_cast<int>(rc), location_, "write zeros", offset);
  }

  void flush() override {
    flight_.wait();
    flight_.rethrow(location_);
    const int rc = rbd_flush(image_.get());
    if (rc < 0) throw rbd_error(rc, location_, "flush");
  }

  std::unique_ptr<Source> read_back() override {
    return std::move(open_rbd_source(partial_, ceph_).source);
  }

  void publish() override {
    const int close_rc = image_.close();
    if (close_rc < 0) throw rbd_error(close_rc, location_, "close");
    if (replaces_) {
      rename(location_.image, old_name());
    }
    try {
      rename(partial_.image, location_.image);
    } catch (...) {
      if (replaces_) rbd_rename(pool_.io(), old_name().c_str(), location_.image.c_str());
      throw;
    }
    published_ = true;
    if (replaces_) remove_old();
  }

 private:
  std::string old_name() const { return location_.image + kOldSuffix; }

  void refuse_snapshot_target() const {
    if (location_.snapshot.empty()) return;
    throw Error({.kind = ErrorKind::kUsage,
                 .object = name_,
                 .action = "create",
                 .cause = "a snapshot cannot be written to",
                 .hint = "name a volume, without the @"});
  }

  /// True if a volume of that name exists and may be replaced.
  bool look_at_existing(const TargetOptions& options) {
    refuse_half_replaced();
    RbdImage existing;
    const int rc = existing.open(pool_.io(), location_.image, "", true);
    if (rc == -ENOENT) return false;
    if (rc < 0) throw rbd_error(rc, location_, "look for an existing volume");
    auto refuse = [this](std::string cause, std::string hint) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = name_,
                   .action = "create",
                   .cause = std::move(cause),
                   .hint = std::move(hint)});
    };
    const Identity identity = pool_.identity_of(existing.get(), location_);
    if (std::find(options.sources.begin(), options.sources.end(), identity) !=
        options.sources.end()) {
      refuse("is what is being read", "choose another name");
    }
    if (!options.force)
      refuse("the volume exists", "choose another name, or replace it with --force");
    if (existing.watchers() > 0) {
      refuse("a client has the volume open", "'rbd status' shows who; stop it first");
    }
    if (existing.snapshots() > 0) {
      refuse("the volume has snapshots", "remove them ('rbd snap purge'), or choose another name");
    }
    return true;
  }

  /// A run that was killed between the two renames of publish() left the old volume under this
  /// name.
  void refuse_half_replaced() {
    RbdImage old;
    const int rc = old.open(pool_.io(), old_name(), "", true);
    if (rc == -ENOENT) return;
    if (rc < 0) throw rbd_error(rc, location_, "look for " + old_name());
    throw Error(
        {.kind = ErrorKind::kConflict,
         .object = name_,
         .action = "create",
         .cause =
             "an earlier run was stopped while it replaced this volume; what it replaced is '" +
             old_name() + "'",
         .hint = fmt::format("rename it back ('rbd rename {0}/{1} {0}/{2}') or remove it",
                             location_.pool, old_name(), location_.image)});
  }

  void clear_left_over() {
    {
      RbdImage left_over;
      const int rc = left_over.open(pool_.io(), partial_.image, "", true);
      if (rc == -ENOENT) return;
      if (rc < 0) throw rbd_error(rc, partial_, "look for a left-over");
      if (left_over.watchers() > 0) {
        throw Error(
            {.kind = ErrorKind::kConflict,
             .object = partial_.display(),
             .action = "create",
             .cause = "another vmferry is writing this target",
             .hint = "wait for it to end; if it was killed, its claim ends after 30 seconds"});
      }
    }
    const int rc = rbd_remove(pool_.io(), partial_.image.c_str());
    if (rc < 0 && rc != -ENOENT) throw rbd_error(rc, partial_, "remove what a killed run left");
  }

  void create(const RbdLayout& layout) {
    create_rbd_image(pool_.io(), partial_.image, size_, layout, location_);
    created_ = true;
    try {
      const int rc = image_.open(pool_.io(), partial_.image, "", false);
      if (rc < 0) throw rbd_error(rc, location_, "open the new volume");
      learn_traits();
    } catch (...) {
      image_.close();
      rbd_remove(pool_.io(), partial_.image.c_str());
      throw;
    }
  }

  void learn_traits() {
    rbd_image_info_t info;
    const int rc = rbd_stat(image_.get(), &info, sizeof info);
    if (rc < 0) throw rbd_error(rc, location_, "stat");
    write_size_ = static_cast<uint32_t>(std::clamp<uint64_t>(info.obj_size, 4096, kLargestWrite));
    granularity_ = std::min(granularity_, write_size_);
  }

  /// What cannot be removed stays under its telling name, for the next run.
  void discard_partial() noexcept {
    remove_rbd_image(pool_.io(), partial_.image, kRemovePatience, {});
  }

  void rename(const std::string& from, const std::string& to) {
    const int rc = rbd_rename(pool_.io(), from.c_str(), to.c_str());
    if (rc == -EEXIST) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = name_,
                   .action = "publish",
                   .cause = "somebody made a volume '" + to + "' meanwhile",
                   .hint = "choose another name"});
    }
    if (rc < 0) throw rbd_error(rc, location_, fmt::format("rename {} to {}", from, to));
  }

  void remove_old() {
    const int rc = rbd_remove(pool_.io(), old_name().c_str());
    if (rc < 0) {
      throw rbd_error(
          rc, location_,
          fmt::format("complete, but the volume it replaced could not be removed ('{}')",
                      old_name()));
    }
  }

  const RbdLocation location_;
  RbdLocation partial_;
  const std::string name_;
  const CephOptions ceph_;
  const uint64_t size_;
  RbdPool pool_;
  RbdImage image_;
  Flight flight_;
  uint32_t write_size_ = kLargestWrite;
  // Skipping a short run of zeros saves less than the extra operation costs.
  uint32_t granularity_ = 64 << 10;
  bool replaces_ = false;
  bool created_ = false;
  bool published_ = false;
};

}  // namespace

bool has_rbd() { return true; }

std::unique_ptr<Sink> open_rbd_sink(const RbdLocation& location, const TargetOptions& options) {
  return std::make_unique<RbdSink>(location, options);
}

}  // namespace vmferry
