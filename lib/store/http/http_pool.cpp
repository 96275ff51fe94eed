// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/http/http_pool.h"

#include "vmferry/error.h"

namespace vmferry {
namespace {

// More help where a server is far away, and are a burden to it everywhere.
constexpr unsigned kMostConnections = 16;

}  // namespace

HttpPool::Borrowed HttpPool::borrow(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (!given_back_.wait(lock, std::move(stop), [this] { return borrowed_ < kMostConnections; })) {
    throw cancelled_error();
  }
  std::unique_ptr<HttpConnection> connection;
  if (idle_.empty()) {
    connection = std::make_unique<HttpConnection>(options_);
    idle_.reserve(kMostConnections);  // giving back needs no memory
  } else {
    connection = std::move(idle_.back());
    idle_.pop_back();
  }
  ++borrowed_;
  return {*this, std::move(connection)};
}

void HttpPool::give_back(std::unique_ptr<HttpConnection> connection) {
  {
    const std::lock_guard lock(mutex_);
    --borrowed_;
    idle_.push_back(std::move(connection));
  }
  given_back_.notify_one();
}

}  // namespace vmferry
