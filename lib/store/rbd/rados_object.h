// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rados/librados.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "lib/store/rbd/rbd_cluster.h"
#include "lib/store/rbd/shared_object.h"

namespace vmferry {

/// A shared object in a pool: keys are its omap, leases are locks of cls_lock. Threads of librados
/// tell it that it was woken.
class RadosObject : public SharedObject {
 public:
  RadosObject(const SharedObjectPlace& place, const CephOptions& options,
              std::chrono::seconds patience);
  ~RadosObject() override;

  Changed change(const ObjectChange& change) override;
  std::map<std::string, std::string> get(const std::vector<std::string>& keys) override;
  KeyRange list(const std::string& prefix, const std::string& after, size_t most) override;
  std::string data() override;
  void remove() override;
  bool take_lease(const std::string& name, std::chrono::seconds duration) override;
  bool renew_lease(const std::string& name, std::chrono::seconds duration) override;
  void drop_lease(const std::string& name) override;
  std::set<std::string> leased(const std::vector<std::string>& names) override;
  void announce(const ServiceName& service) override;
  void wake_all() override;
  bool wait(std::chrono::milliseconds time) override;

 private:
  static void on_notify(void* self, uint64_t notify, uint64_t handle, uint64_t notifier, void* data,
                        size_t length);
  static void on_watch_error(void* self, uint64_t handle, int error);

  void connect();
  void disconnect() noexcept;
  /// A connection that was cut off comes back to nobody: another is made.
  rados_ioctx_t io();
  void watch();
  bool holds(const std::string& lease);
  int lock(const std::string& name, std::chrono::seconds duration, uint8_t flags);
  /// Throws unless rc >= 0.
  void check(int rc, const char* action);

  const SharedObjectPlace place_;
  const CephOptions options_;
  const RbdLocation location_;
  const std::string cookie_;
  std::unique_ptr<RbdPool> pool_;
  rados_ioctx_t io_ = nullptr;
  bool cut_off_ = false;
  ServiceName service_;  ///< as it was announced
  std::optional<uint64_t> watch_;
  std::chrono::steady_clock::time_point watch_at_{};  ///< when to try again
  std::mutex mutex_;                                  // guards what follows
  std::condition_variable changed_;
  bool woken_ = false;
  bool watch_failed_ = false;
};

}  // namespace vmferry
