// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/core/blocking_call.h"
#include "lib/store/http/http_answer.h"
#include "lib/store/http/http_location.h"
#include "lib/store/http/http_pool.h"
#include "lib/store/http/http_trouble.h"
#include "vmferry/error.h"
#include "vmferry/network.h"

namespace vmferry {

/// One version of an object of a web server, which is read by ranges. What may pass (a broken
/// connection, a server that is busy) is tried again, with pauses that grow, until the server has
/// been silent for `stall_timeout`. Any thread.
class HttpObject {
 public:
  using Deliver = std::function<void(std::span<const std::byte>)>;

  /// Asks for the first bytes, and so for what is there. Throws Error: it cannot be read, or not by
  /// ranges, or which version it is cannot be told.
  HttpObject(HttpLocation location, const NetworkOptions& network);

  const std::string& name() const { return location_.display; }
  const HttpVersion& version() const { return version_; }
  /// What came with the first answer, from the beginning of the object on: 64 KiB at most.
  const std::vector<std::byte>& start() const { return start_; }
  /// Words that are the same as long as address and version are.
  std::string stamp() const;

  /// Gives the bytes of the range to `deliver`, in order, a few at a time, and throws what that
  /// throws. Throws kConflict if the object is another now, kCancelled when stopped.
  /// REQUIRES: offset + length <= version().size
  void read(uint64_t offset, uint64_t length, const Deliver& deliver) const;
  /// Throws kConflict if the object is another now.
  void check_unchanged() const;

  /// How long the server has been silent, though it was asked for something.
  std::chrono::milliseconds silent_for() const;

 private:
  class Patience;
  class AtWork;
  class PartTaker;

  void open();
  void read_start(Patience& patience);
  HttpRequest request_of(const PartTaker& taker, const Patience& patience) const;
  HttpOutcome ask(const std::string& url, PartTaker& taker, const Patience& patience) const;
  std::string resolved_address() const;
  void settle_address(const std::string& url) const;
  bool forget_address(const std::string& url) const;
  Error error_of(const HttpTrouble& trouble, std::optional<uint64_t> offset) const;

  const HttpLocation location_;
  const NetworkOptions network_;
  mutable HttpPool pool_;
  HttpVersion version_;
  std::vector<std::byte> start_;
  bool is_open_ = false;
  mutable std::atomic<int> at_work_ = 0;
  mutable Pulse pulse_;
  mutable std::mutex mutex_;          // of the next line
  mutable std::string resolved_url_;  // where redirects have led to
};

}  // namespace vmferry
