// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "lib/transfer/checkpoints.h"
#include "vmferry/digest.h"
#include "vmferry/sink.h"

namespace vmferry {

/// Goes behind a copy, in a thread of its own: has checked what is written already, and writes
/// checkpoints now and then. One thread; it must be gone before what it was given.
class Follower {
 public:
  struct Work {
    Checkpoints* checkpoints = nullptr;  ///< null: none are written
    std::chrono::milliseconds checkpoint_every{};
    bool check = false;  ///< Sink::check_early()
  };

  /// `digest` is what the copy tells of. `ended` is stopped when the follower has failed: what the
  /// copy would still do is in vain. Throws Error: there is no thread to be had.
  Follower(DiskDigest& digest, Sink& sink, Work work, std::stop_source& ended);

  /// Ends it. Throws what a barrier threw, the first time that it is asked: the system tells of a
  /// failed write once, so the flush that follows may not know of it.
  void finish();

 private:
  void run(const std::stop_token& stop);
  void check(const std::vector<uint64_t>& pieces, const std::stop_token& stop);
  std::chrono::milliseconds pause() const;

  DiskDigest& digest_;
  Sink& sink_;
  const Work work_;
  std::stop_source& ended_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::exception_ptr failure_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace vmferry
