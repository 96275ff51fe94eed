// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rbd/librbd.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/core/blocking_call.h"
#include "vmferry/buffer.h"
#include "vmferry/location.h"

namespace vmferry {

/// Writes that are under way: counts them, keeps the first error. Callbacks run in librbd's threads
/// and touch nothing else. Any thread may call it; it must outlive its writes: wait() first.
class RbdFlight {
 public:
  /// `pulse` beats when a write has landed.
  RbdFlight(const RbdLocation& location, Pulse& pulse);
  RbdFlight(const RbdFlight&) = delete;
  RbdFlight& operator=(const RbdFlight&) = delete;
  ~RbdFlight();

  /// Where the data go: for messages. Before the first write.
  void set_data_pool(std::string pool) { data_pool_ = std::move(pool); }
  /// From now on what a full pool refuses is written again and again, as long as nothing else has
  /// landed for `patience`.
  void allow_full(std::chrono::seconds patience);
  /// No more of that: what is refused has failed.
  void stop_trying_again();

  /// Takes over `data`. Throws an error of this write, or the first one of an earlier write.
  void write(rbd_image_t image, uint64_t offset, Slice data);
  void wait();
  /// Until those have landed that are under way now.
  void wait_for_present();
  /// How long nothing has landed, though something is under way; zero if nothing is.
  std::chrono::steady_clock::duration silent_for();
  /// Throws the first error of all that landed.
  void rethrow();

 private:
  struct Write;

  void submit(std::unique_ptr<Write> write);
  bool postpone(std::unique_ptr<Write>& write, int rc);
  void try_again(const std::stop_token& stop);
  uint64_t start();
  void finish(int rc, Write& write);
  static void on_complete(rbd_completion_t completion, void* argument);

  const RbdLocation location_;
  std::string data_pool_;
  Pulse& pulse_;
  std::mutex mutex_;
  std::condition_variable landed_;
  std::set<uint64_t> under_way_;  ///< their numbers
  uint64_t next_ = 0;
  std::chrono::seconds patience_{0};               ///< with a full pool
  std::vector<std::unique_ptr<Write>> postponed_;  ///< which it refused
  std::condition_variable_any wake_;
  int first_rc_ = 0;
  uint64_t first_offset_ = 0;
  std::jthread trier_;  // last: it uses all of the above
};

}  // namespace vmferry
