// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_flight.h"

#include <cerrno>
#include <memory>
#include <utility>

#include "lib/core/threads.h"
#include "lib/store/rbd/rbd_cluster.h"

namespace vmferry {

struct RbdFlight::Write {
  RbdFlight* flight = nullptr;
  rbd_image_t image = nullptr;
  uint64_t offset = 0;
  Slice data;
  uint64_t number = 0;
  int rc = 0;  ///< with which it was refused
};

RbdFlight::RbdFlight(const RbdLocation& location, Pulse& pulse)
    : location_(location), pulse_(pulse) {}

RbdFlight::~RbdFlight() { stop_trying_again(); }

void RbdFlight::write(rbd_image_t image, uint64_t offset, Slice data) {
  rethrow();
  std::unique_ptr<Write> write(
      new Write{.flight = this, .image = image, .offset = offset, .data = std::move(data)});
  write->number = start();
  submit(std::move(write));
  rethrow();
}

/// Whatever becomes of it, finish() is called.
void RbdFlight::submit(std::unique_ptr<Write> write) {
  const auto bytes = write->data.bytes();
  rbd_completion_t completion = nullptr;
  int rc = rbd_aio_create_completion(write.get(), on_complete, &completion);
  if (rc < 0) {
    return finish(rc, *write);
  }
  rc = rbd_aio_write(write->image, write->offset, bytes.size(),
                     reinterpret_cast<const char*>(bytes.data()), completion);
  if (rc < 0) {  // not queued: no callback will come
    rbd_aio_release(completion);
    return finish(rc, *write);
  }
  (void)write.release();  // its callback owns it
}

void RbdFlight::allow_full(std::chrono::seconds patience) {
  trier_ = start_thread([this](const std::stop_token& stop) { try_again(stop); });
  const std::lock_guard lock(mutex_);
  patience_ = patience;
}

void RbdFlight::stop_trying_again() {
  std::vector<std::unique_ptr<Write>> refused;
  {
    const std::lock_guard lock(mutex_);
    patience_ = std::chrono::seconds(0);
    refused.swap(postponed_);
  }
  trier_.request_stop();
  for (const auto& write : refused) {
    finish(write->rc, *write);
  }
}

/// False: it has failed.
bool RbdFlight::postpone(std::unique_ptr<Write>& write, int rc) {
  const bool full = rc == -ENOSPC || rc == -EDQUOT;
  const std::lock_guard lock(mutex_);
  if (!full || first_rc_ < 0 || std::chrono::steady_clock::now() - pulse_.last() >= patience_) {
    return false;
  }
  write->rc = rc;
  postponed_.push_back(std::move(write));
  wake_.notify_all();
  return true;
}

void RbdFlight::try_again(const std::stop_token& stop) {
  constexpr std::chrono::seconds kPause{1};
  while (!stop.stop_requested()) {
    std::vector<std::unique_ptr<Write>> refused;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, stop, [this] { return !postponed_.empty(); });
      wake_.wait_for(lock, stop, kPause, [] { return false; });
      refused.swap(postponed_);
    }
    for (auto& write : refused) {
      submit(std::move(write));
    }
  }
}

void RbdFlight::wait() {
  std::unique_lock lock(mutex_);
  landed_.wait(lock, [this] { return under_way_.empty(); });
}

void RbdFlight::wait_for_present() {
  std::unique_lock lock(mutex_);
  landed_.wait(lock,
               [this, end = next_] { return under_way_.empty() || *under_way_.begin() >= end; });
}

std::chrono::steady_clock::duration RbdFlight::silent_for() {
  std::lock_guard lock(mutex_);
  return under_way_.empty() ? std::chrono::steady_clock::duration::zero()
                            : std::chrono::steady_clock::now() - pulse_.last();
}

void RbdFlight::rethrow() {
  std::lock_guard lock(mutex_);
  if (first_rc_ < 0) {
    throw rbd_data_error(first_rc_, location_, data_pool_, "write", first_offset_);
  }
}

uint64_t RbdFlight::start() {
  std::lock_guard lock(mutex_);
  if (under_way_.empty()) {
    pulse_.beat();
  }
  return *under_way_.insert(next_++).first;
}

/// Result first, then the signal; both under the lock, so that who waits may destroy us right
/// after.
void RbdFlight::finish(int rc, Write& write) {
  write.data = Slice();  // the buffer goes back before anybody is told
  std::lock_guard lock(mutex_);
  if (rc >= 0) {
    pulse_.beat();
  }
  if (rc < 0 && first_rc_ == 0) {
    first_rc_ = rc;
    first_offset_ = write.offset;
  }
  const bool was_first = *under_way_.begin() == write.number;
  under_way_.erase(write.number);
  if (was_first) {
    landed_.notify_all();
  }
}

void RbdFlight::on_complete(rbd_completion_t completion, void* argument) {
  std::unique_ptr<Write> write(static_cast<Write*>(argument));
  const auto rc = static_cast<int>(rbd_aio_get_return_value(completion));
  rbd_aio_release(completion);
  RbdFlight* flight = write->flight;
  if (flight->postpone(write, rc)) {
    return;
  }
  flight->finish(rc, *write);
}

}  // namespace vmferry
