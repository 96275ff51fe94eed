// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_claim.h"

#include <fmt/format.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <random>

#include "lib/core/printable.h"
#include "lib/core/threads.h"
#include "lib/store/rbd/rbd_claim_write.h"

namespace vmferry {
namespace {

// As long as the OSDs remember the watch of a client that died (osd_client_watch_timeout).
constexpr std::chrono::seconds kDuration{30};
constexpr std::chrono::seconds kRenewEvery{8};
constexpr uint32_t kCutOffSeconds = 3600;  // what a blocklist entry lasts by default, too

std::string random_cookie() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

std::string who_we_are() {
  std::array<char, 256> host = {};
  if (::gethostname(host.data(), host.size() - 1) != 0) {
    host[0] = '\0';
  }
  return fmt::format("process {} on {}", ::getpid(), host.data());
}

std::string own_address(const RbdPool& pool) {
  char* address = nullptr;
  if (rados_getaddrs(pool.client().get(), &address) < 0 || address == nullptr) {
    return {};
  }
  std::string copy = address;
  rados_buffer_free(address);
  return copy;
}

/// The n-th line of an owner's note: its cookie, its address, its name for people.
std::string line(std::string text, int number) {
  while (number-- > 0) {
    const size_t end = text.find('\n');
    text = end == std::string::npos ? "" : text.substr(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

}  // namespace

RbdClaim::OwnIo::OwnIo(const RbdPool& pool, const RbdLocation& location) {
  const int rc = rados_ioctx_create2(pool.client().get(), rados_ioctx_get_id(pool.io()), &io_);
  if (rc < 0) {
    throw rbd_error(rc, location, "open the pool");
  }
  rados_ioctx_set_namespace(io_, location.name_space.c_str());
  rados_set_pool_full_try(io_);  // as RbdPool does
}

RbdClaim::RbdClaim(const RbdPool& pool, const RbdLocation& location, const RbdClaimWait& wait)
    : pool_(pool),
      location_(location),
      io_(pool, location),
      object_("rbd_vmferry_claim." + location.image),
      cookie_(random_cookie()),
      owner_(cookie_ + "\n" + own_address(pool) + "\n" + who_we_are()) {
  const bool is_new = make();
  if (!is_new) {
    take(wait);
  }
  held_until_ = std::chrono::steady_clock::now() + kDuration;
  try {
    const std::string note = is_new ? "" : read(kClaimReplacing);
    if (!note.empty()) {
      replacement_ = {line(note, 0), line(note, 1)};
    }
    renewer_ = start_thread([this](std::stop_token stop) { renew_for_ever(stop); });
  } catch (...) {
    undo_take();
    throw;
  }
}

/// Nobody has it, in most cases: then one operation makes the object, locked and ours. False: there
/// is one.
bool RbdClaim::make() const {
  ClaimWrite write;
  write.create();
  write.lock(cookie_, who_we_are(), kDuration);
  write.set(kClaimOwner, owner_);
  const int rc = write.operate(io_.get(), object_);
  if (rc == -EEXIST) {
    return false;
  }
  if (rc < 0) {
    undo_take();  // it may have been done, and the answer lost
    throw rbd_error(rc, location_, "claim the target");
  }
  return true;
}

int RbdClaim::lock_in_time(const RbdClaimWait& wait) const {
  constexpr std::chrono::milliseconds kLook{200};
  const auto deadline = std::chrono::steady_clock::now() + wait.patience;
  for (bool is_first = true;; is_first = false) {
    const int rc = lock(0);
    if (rc != -EBUSY || std::chrono::steady_clock::now() >= deadline) {
      return rc;
    }
    if (wait.stop.stop_requested()) {
      throw cancelled_error();
    }
    if (is_first && wait.notice) {
      wait.notice(fmt::format(
          "{}: another vmferry is writing it{}, or was killed a moment ago: waiting for up to {} s",
          location_.display(), holder(), wait.patience.count()));
    }
    std::this_thread::sleep_for(kLook);
  }
}

void RbdClaim::take(const RbdClaimWait& wait) const {
  for (;;) {
    const int rc = lock_in_time(wait);
    if (rc == -EBUSY) {
      throw held_by_another();
    }
    try {
      if (rc < 0) {
        throw rbd_error(rc, location_, "claim the target");
      }
      if (try_own(previous_owner())) {
        return;
      }
    } catch (...) {
      undo_take();
      throw;
    }
    // The one before us took its claim back just now, and the object with it: claim it anew.
    undo_take();
  }
}

/// The object stays if it has what another run wrote down.
void RbdClaim::undo_take() const noexcept {
  try {
    if (lock(LIBRADOS_LOCK_FLAG_MUST_RENEW) < 0) {
      return;
    }
    const std::string owner = read(kClaimOwner);
    if (read(kClaimReplacing).empty() && (owner.empty() || owner == owner_)) {
      rados_remove(io_.get(), object_.c_str());
    } else {
      rados_unlock(io_.get(), object_.c_str(), kClaimLock, cookie_.c_str());
    }
  } catch (const Error&) {
    return;  // it ends by itself
  }
}

RbdClaim::~RbdClaim() {
  if (!released_) {
    release();
  }
}

int RbdClaim::lock(uint8_t flags) const {
  timeval duration = {.tv_sec = kDuration.count(), .tv_usec = 0};
  return rados_lock_exclusive(io_.get(), object_.c_str(), kClaimLock, cookie_.c_str(),
                              who_we_are().c_str(), &duration, flags);
}

/// Whoever it was, it is cut off. We may have slept since we locked: then it is another's by now.
std::string RbdClaim::previous_owner() const {
  std::string previous = read(kClaimOwner);
  const int rc = lock(LIBRADOS_LOCK_FLAG_MUST_RENEW);
  if (rc == -ENOENT || rc == -EBUSY) {
    throw held_by_another();
  }
  if (rc < 0) {
    throw rbd_error(rc, location_, "claim the target");
  }
  if (!previous.empty()) {
    cut_off(previous);
  }
  return previous;
}

/// False: `previous` is not the owner any more.
bool RbdClaim::try_own(const std::string& previous) const {
  ClaimWrite write;
  write.require_owner(previous);
  write.require_lock(cookie_);
  write.set(kClaimOwner, owner_);
  const int rc = write.operate(io_.get(), object_);
  if (rc == -EBUSY) {
    throw held_by_another();
  }
  if (is_another_owner(rc)) {
    return false;
  }
  if (rc < 0) {
    throw rbd_error(rc, location_, "claim the target");
  }
  return true;
}

std::string RbdClaim::read(const char* attribute) const {
  std::array<char, 1024> value;
  const int rc = rados_getxattr(io_.get(), object_.c_str(), attribute, value.data(), value.size());
  if (rc == -ENODATA || rc == -ENOENT) {
    return {};
  }
  if (rc < 0) {
    throw rbd_error(rc, location_, "look at the claim of the target");
  }
  return {value.data(), static_cast<size_t>(rc)};
}

/// Its time is over, but it may only be asleep: from here on no OSD does anything for it.
void RbdClaim::cut_off(const std::string& previous_owner) const {
  std::string address = line(previous_owner, 1);
  if (address.empty() || address == own_address(pool_)) {
    return;
  }
  const int rc = rados_blocklist_add(pool_.client().get(), address.data(), kCutOffSeconds);
  if (rc == -EACCES || rc == -EPERM) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = location_.display(),
                 .action = "create",
                 .cause = "a run that was stopped (" + printable(line(previous_owner, 2)) +
                          ") may only be asleep, and this user may not cut it off from the cluster",
                 .hint = "run this once as a user with mon 'profile rbd'"});
  }
  if (rc < 0) {
    throw rbd_error(rc, location_, "cut off the run that claimed the target before");
  }
  rados_wait_for_latest_osdmap(pool_.client().get());
}

/// " (process 7 on web1)"; empty: it is not known.
std::string RbdClaim::holder() const {
  const std::string who = printable(line(read(kClaimOwner), 2));
  return who.empty() ? who : " (" + who + ")";
}

Error RbdClaim::held_by_another() const {
  return Error({.kind = ErrorKind::kConflict,
                .object = location_.display(),
                .action = "create",
                .cause = "another vmferry is writing this target" + holder(),
                .hint = "wait for it to end; if it was killed, its claim ends after 30 seconds"});
}

Error RbdClaim::lost_error() const {
  if (cut_off_in_time_) {
    return rbd_error(-ESHUTDOWN, location_, "write");
  }
  return Error({.kind = ErrorKind::kConflict,
                .object = location_.display(),
                .action = "write",
                .cause = "another vmferry took this target over, because this one was not heard of "
                         "for more than 30 seconds",
                .hint = "let one run at a time write a target"});
}

void RbdClaim::check_known() const {
  if (lost_) {
    throw lost_error();
  }
}

void RbdClaim::check() {
  int rc = 0;
  const Renewal renewal = renew(rc);
  if (renewal == Renewal::kLost) {
    throw lost_error();
  }
  if (renewal == Renewal::kUnknown) {
    throw rbd_error(rc, location_, "renew the claim of the target");
  }
}

void RbdClaim::note(const RbdReplacement& replacement) {
  ClaimWrite write;
  write.require_owner(owner_);
  write.require_lock(cookie_);
  write.set(kClaimReplacing, replacement.old_id + "\n" + replacement.new_id);
  const int rc = write.operate(io_.get(), object_);
  if (is_another_owner(rc) || rc == -EBUSY) {
    throw lost_error();
  }
  if (rc < 0) {
    throw rbd_error(rc, location_, "write down what is replaced");
  }
  replacement_ = replacement;
}

int RbdClaim::release() noexcept {
  released_ = true;
  renewer_.request_stop();
  if (renewer_.joinable()) {
    renewer_.join();
  }
  if (lost_) {
    return 0;
  }
  ClaimWrite write;
  write.require_owner(owner_);
  write.remove();
  const int rc = write.operate(io_.get(), object_);
  return is_another_owner(rc) || rc == -ESHUTDOWN ? 0 : rc;  // another's by then
}

std::string RbdClaim::removal() const {
  const auto word = [](const std::string& text) { return RbdLocation{.pool = text}.ceph_name(); };
  std::string command = "rados -p " + word(location_.pool);
  if (!location_.name_space.empty()) {
    command += " -N " + word(location_.name_space);
  }
  return command + " rm " + word(object_);
}

/// One that ran out while nobody else took it did no harm: it is taken again.
RbdClaim::Renewal RbdClaim::renew(int& rc) {
  std::lock_guard guard(mutex_);
  if (lost_) {
    return Renewal::kLost;
  }
  const auto now = std::chrono::steady_clock::now();
  rc = lock(LIBRADOS_LOCK_FLAG_MUST_RENEW);
  try {
    if (rc == -ENOENT && read(kClaimOwner) == owner_) {
      rc = lock(LIBRADOS_LOCK_FLAG_MAY_RENEW);
      if (rc >= 0 && read(kClaimOwner) != owner_) {
        rc = -EBUSY;
      }
    }
  } catch (const Error&) {
    return Renewal::kUnknown;
  }
  if (rc >= 0) {
    held_until_ = now + kDuration;
    return Renewal::kHeld;
  }
  if (rc != -ENOENT && rc != -EBUSY && rc != -ESHUTDOWN) {
    return Renewal::kUnknown;
  }
  cut_off_in_time_ = rc == -ESHUTDOWN && now < held_until_;
  lost_ = true;
  return Renewal::kLost;
}

void RbdClaim::renew_for_ever(std::stop_token stop) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  while (!wake_.wait_for(lock, stop, kRenewEvery, [] { return false; }) && !stop.stop_requested()) {
    int rc = 0;
    if (renew(rc) == Renewal::kLost) {
      return;
    }
  }
}

}  // namespace vmferry
