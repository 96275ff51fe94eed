// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_flight.h"

#include <memory>

#include "lib/store/rbd/rbd_cluster.h"

namespace vmferry {

struct RbdFlight::Write {
  RbdFlight* flight;
  uint64_t offset;
  Slice data;
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
  start();
  rc = rbd_aio_write(image, offset, bytes.size(), reinterpret_cast<const char*>(bytes.data()),
                     completion);
  if (rc < 0) {  // not queued: no callback will come
    rbd_aio_release(completion);
    finish(rc, offset);
    throw rbd_error(rc, location_, "write", offset);
  }
  (void)write.release();  // its callback owns it
}

void RbdFlight::wait() {
  std::unique_lock lock(mutex_);
  landed_.wait(lock, [this] { return count_ == 0; });
}

std::chrono::steady_clock::duration RbdFlight::silent_for() {
  std::lock_guard lock(mutex_);
  return count_ == 0 ? std::chrono::steady_clock::duration::zero()
                     : std::chrono::steady_clock::now() - pulse_.last();
}

void RbdFlight::rethrow() {
  std::lock_guard lock(mutex_);
  if (first_rc_ < 0) {
    throw rbd_error(first_rc_, location_, "write", first_offset_);
  }
}

void RbdFlight::start() {
  std::lock_guard lock(mutex_);
  if (count_ == 0) {
    pulse_.beat();
  }
  ++count_;
}

/// Result first, then the signal; both under the lock, so that who waits may destroy us right
/// after.
void RbdFlight::finish(int rc, uint64_t offset) {
  std::lock_guard lock(mutex_);
  if (rc >= 0) {
    pulse_.beat();
  }
  if (rc < 0 && first_rc_ == 0) {
    first_rc_ = rc;
    first_offset_ = offset;
  }
  if (--count_ == 0) {
    landed_.notify_all();
  }
}

void RbdFlight::on_complete(rbd_completion_t completion, void* argument) {
  std::unique_ptr<Write> write(static_cast<Write*>(argument));
  const auto rc = static_cast<int>(rbd_aio_get_return_value(completion));
  rbd_aio_release(completion);
  RbdFlight* flight = write->flight;
  const uint64_t offset = write->offset;
  write.reset();  // the buffer goes back before anybody is told
  flight->finish(rc, offset);
}

}  // namespace vmferry
