// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/core/blocking_call.h"
#include "lib/store/rbd/rbd_admin.h"
#include "lib/store/rbd/rbd_cluster.h"
#include "lib/store/rbd/rbd_facts.h"
#include "lib/store/rbd/rbd_flight.h"
#include "lib/store/rbd/rbd_marks.h"
#include "lib/store/rbd/rbd_source.h"
#include "lib/store/rbd/rbd_stamp.h"

// A volume that has its name already, and is brought up to date.

namespace vmferry {
namespace {

using std::chrono::seconds;

/// A client that died counts for some 30 s.
constexpr seconds kGhostPatience{45};

/// What calls that hang leave behind.
struct VolumeInUse {
  VolumeInUse(const RbdLocation& location, const CephOptions& ceph)
      : pool(std::make_shared<RbdPool>(location, ceph, CephSharing::kOwn)),
        flight(location, pulse) {}
  VolumeInUse(const VolumeInUse&) = delete;
  VolumeInUse& operator=(const VolumeInUse&) = delete;
  ~VolumeInUse() { flight.wait(); }

  Pulse pulse;
  const std::shared_ptr<RbdPool> pool;
  RbdImage image;
  RbdFlight flight;
};

void refuse_writers_of(VolumeInUse& volume, const RbdLocation& location,
                       const std::stop_token& stop) {
  RbdImage look;
  const int rc = look.open(volume.pool->io(), location.image, "", true);
  if (rc < 0) {
    throw rbd_error(rc, location, "open");
  }
  const auto give_up = std::chrono::steady_clock::now() + kGhostPatience;
  while (count_writers(look.get(), location) != 0) {
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    if (std::chrono::steady_clock::now() > give_up) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = location.display(),
                   .action = "bring it up to date",
                   .cause = "a client has it open for writing",
                   .hint = "'rbd status " + location.ceph_name() + "' shows who"});
    }
    volume.pulse.beat();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

/// Every call that may hang with the cluster runs in a thread that is left behind if need be.
class UpdatedVolume : public Target, private Sink {
 public:
  UpdatedVolume(const RbdLocation& location, const TargetOptions& options)
      : location_(location), name_(location.display()), options_(options) {
    volume_ = std::make_shared<VolumeInUse>(location_, options_.network.ceph);
    try {
      auto info = std::make_shared<rbd_image_info_t>();
      call([info, location, stop = options.stop](VolumeInUse& volume) {
        open(volume, location, stop, *info);
      });
      info_ = *info;
      volume_->pool->client().allow_stalls();
    } catch (...) {
      end();
      throw;
    }
  }
  ~UpdatedVolume() override { end(); }

  Sink& sink() override { return *this; }
  void publish() override {}
  bool can_mark() const override { return true; }
  std::string mark(const Point& point) override {
    auto name = std::make_shared<std::string>();
    call([name, point, location = location_](VolumeInUse& volume) {
      *name = mark_rbd_state(volume.image.get(), location, point);
    });
    return *name;
  }

 private:
  static void open(VolumeInUse& volume, const RbdLocation& location, const std::stop_token& stop,
                   rbd_image_info_t& info) {
    refuse_writers_of(volume, location, stop);
    int rc = volume.image.open(volume.pool->io(), location.image, "", false);
    if (rc < 0) {
      throw rbd_error(rc, location, "open");
    }
    rc = rbd_stat(volume.image.get(), &info, sizeof info);
    if (rc < 0) {
      throw rbd_error(rc, location, "stat");
    }
    volume.flight.set_data_pool(rbd_data_pool(volume.pool->io(), volume.image.get()));
  }

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return info_.size; }
  SinkTraits traits() const override {
    const auto write =
        static_cast<uint32_t>(std::clamp<uint64_t>(info_.obj_size, kGranularity, kLargestPiece));
    return {.write_size = write, .zero_granularity = kGranularity, .starts_zeroed = false};
  }
  void write_at(uint64_t offset, Slice data) override {
    volume_->flight.write(volume_->image.get(), offset, std::move(data));
  }
  void check_writes() override {
    volume_->flight.rethrow();
    if (volume_->flight.silent_for() > limit().silence) {
      throw silent();
    }
  }
  std::chrono::milliseconds silent_for() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(volume_->flight.silent_for());
  }
  void zero_range(uint64_t offset, uint64_t length) override {
    call([offset, length, location = location_](VolumeInUse& volume) {
      const ssize_t rc = rbd_write_zeroes(volume.image.get(), offset, length, 0, 0);
      if (rc < 0) {
        throw rbd_error(static_cast<int>(rc), location, "write zeros", offset);
      }
    });
  }
  void flush() override {
    call([location = location_](VolumeInUse& volume) {
      volume.flight.wait();
      volume.flight.rethrow();
      if (const int rc = rbd_flush(volume.image.get()); rc < 0) {
        throw rbd_error(rc, location, "flush");
      }
    });
  }
  std::unique_ptr<Source> read_back() override { return read_rbd_volume(location_, volume_->pool); }

  void call(std::function<void(VolumeInUse&)> work) {
    if (gave_up_) {  // a call may still be under way
      throw options_.stop.stop_requested() ? cancelled_error() : silent();
    }
    volume_->pulse.beat();
    BlockingCall call([volume = volume_, work = std::move(work)] { work(*volume); });
    if (call.wait(volume_->pulse, limit(), options_.stop)) {
      return call.result();
    }
    gave_up_ = true;
    throw options_.stop.stop_requested() ? cancelled_error() : silent();
  }

  /// Its writes have ended, or the cluster is away: then both are left behind.
  void end() noexcept {
    if (!volume_) {
      return;
    }
    const seconds patience(std::min(options_.network.ceph.timeout, 10U));
    volume_->pulse.beat();
    try {
      BlockingCall call([volume = volume_] {
        volume->flight.wait();
        volume->image.close();
      });
      const Pulse& pulse = volume_->pulse;
      if (gave_up_ || !call.wait(pulse, {.silence = patience, .after_stop = patience}, {})) {
        left_behind().push_back(std::move(volume_));
      }
    } catch (const Error&) {  // no thread is to be had
      volume_->image.close();
    }
    volume_.reset();
  }

  /// Never closed: that would wait for the cluster.
  static std::vector<std::shared_ptr<VolumeInUse>>& left_behind() {
    static auto* const volumes = new std::vector<std::shared_ptr<VolumeInUse>>;
    return *volumes;
  }

  SilenceLimit limit() const {
    const CephOptions& ceph = options_.network.ceph;
    return {.silence = seconds(ceph.stall_timeout.value_or(ceph.timeout * 5) + ceph.timeout),
            .after_stop = seconds(std::min(ceph.timeout, 5U))};
  }
  Error silent() const { return rbd_error(-ETIMEDOUT, location_, "wait for the cluster"); }

  static constexpr uint32_t kGranularity = 64 << 10;
  static constexpr uint32_t kLargestPiece = 2 << 20;

  const RbdLocation location_;
  const std::string name_;
  const TargetOptions options_;
  rbd_image_info_t info_ = {};
  std::shared_ptr<VolumeInUse> volume_;
  std::atomic<bool> gave_up_ = false;
};

}  // namespace

std::unique_ptr<Target> update_rbd_volume(const RbdLocation& location,
                                          const TargetOptions& options) {
  return std::make_unique<UpdatedVolume>(location, options);
}

}  // namespace vmferry
