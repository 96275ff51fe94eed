// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

#include "lib/store/http/http_connection.h"

namespace vmferry {

/// A few connections to a server, made when they are first wanted. Any thread.
class HttpPool {
 public:
  explicit HttpPool(HttpOptions options) : options_(std::move(options)) {}

  /// A connection that is this user's alone, as long as this lives.
  class Borrowed {
   public:
    Borrowed(HttpPool& pool, std::unique_ptr<HttpConnection> connection)
        : pool_(pool), connection_(std::move(connection)) {}
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    ~Borrowed() { pool_.give_back(std::move(connection_)); }
    HttpConnection* operator->() const { return connection_.get(); }

   private:
    HttpPool& pool_;
    std::unique_ptr<HttpConnection> connection_;
  };

  /// Waits for a free one. Throws Error kCancelled when `stop` is triggered while it waits.
  Borrowed borrow(std::stop_token stop);

 private:
  void give_back(std::unique_ptr<HttpConnection> connection);

  const HttpOptions options_;
  std::mutex mutex_;  // of what follows
  std::condition_variable_any given_back_;
  std::vector<std::unique_ptr<HttpConnection>> idle_;
  unsigned borrowed_ = 0;
};

}  // namespace vmferry
