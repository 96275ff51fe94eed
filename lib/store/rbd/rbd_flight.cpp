// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_flight.h"

#include <memory>

#include "lib/store/rbd/rbd_cluster.h"

namespace vmferry {

struct RbdFlight::Write {
  RbdFlight* flight;
  uint64_t offset;
  Slice data;
  uint64_t number = 0;
};

void RbdFlight::write(rbd_image_t image, uint64_t offset, Slice data) {
  rethrow();
  const auto bytes = data.bytes();
  std::unique_ptr<Write> write(new Write{this, offset, std::move(data)});
  rbd_completion_t completion = nullptr;
  int rc = rbd_aio_create_completion(write.get(), on_complete, &completion);
  if (rc < 0) {
    throw rbd_error(rc, location_, "write", offset);
  }
  write->number = start();
  rc = rbd_aio_write(image, offset, bytes.size(), reinterpret_cast<const char*>(bytes.data()),
                     completion);
  if (rc < 0) {  // not queued: no callback will come
    rbd_aio_release(completion);
    finish(rc, *write);
    throw rbd_error(rc, location_, "write", offset);
  }
  (void)write.release();  // its callback owns it
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
    throw rbd_error(first_rc_, location_, "write", first_offset_);
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
void RbdFlight::finish(int rc, const Write& write) {
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
  write->data = Slice();  // the buffer goes back before anybody is told
  flight->finish(rc, *write);
}

}  // namespace vmferry
