// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rados_object.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <utility>

#include "lib/store/rbd/cls_lock.h"
#include "lib/store/rbd/rados_operation.h"

namespace vmferry {
namespace {

constexpr size_t kMostData = 64 << 20;
constexpr size_t kMostInOneAnswer = 1000;  // osd_max_omap_entries_per_request is 1024

std::string new_cookie() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

std::string this_process() {
  std::array<char, 256> host = {};
  if (::gethostname(host.data(), host.size() - 1) != 0) {
    host[0] = '\0';
  }
  return fmt::format("process {} on {}", ::getpid(), host.data());
}

RbdLocation location_of(const SharedObjectPlace& place, std::chrono::seconds patience) {
  return {.pool = place.pool,
          .options = {{"rados_osd_op_timeout", std::to_string(patience.count())}}};
}

}  // namespace

RadosObject::RadosObject(const SharedObjectPlace& place, const CephOptions& options,
                         std::chrono::seconds patience)
    : place_(place),
      options_(options),
      location_(location_of(place, patience)),
      cookie_(new_cookie()) {
  connect();
}

RadosObject::~RadosObject() { disconnect(); }

void RadosObject::connect() {
  pool_ = std::make_unique<RbdPool>(location_, options_, CephSharing::kOwn);
  check(rados_ioctx_create2(pool_->client().get(), rados_ioctx_get_id(pool_->io()), &io_),
        "open the pool");
  rados_ioctx_set_namespace(io_, place_.name_space.c_str());
  rados_set_pool_full_try(io_);  // as RbdPool does
  cut_off_ = false;
  if (!service_.service.empty()) {
    announce(service_);
  }
}

void RadosObject::disconnect() noexcept {
  if (watch_) {
    rados_unwatch2(io_, *watch_);
    rados_watch_flush(pool_->client().get());
    watch_.reset();
  }
  if (io_ != nullptr) {
    rados_ioctx_destroy(io_);
    io_ = nullptr;
  }
  pool_.reset();
}

rados_ioctx_t RadosObject::io() {
  if (cut_off_ || io_ == nullptr) {
    disconnect();
    connect();
  }
  return io_;
}

void RadosObject::check(int rc, const char* action) {
  if (rc >= 0) {
    return;
  }
  ErrorParts parts = rbd_error(rc, location_, action).parts();
  parts.object = place_.what;
  if (rc == -EACCES || rc == -EPERM) {
    parts.hint = fmt::format(
        "check --id and --keyring; the user needs osd 'profile rbd pool={0}', or 'allow rwx "
        "pool={0} namespace={1}'",
        place_.pool, place_.name_space);
  } else if (rc == -ENOENT) {
    parts.cause = "it does not exist";
  } else if (rc == -ETIMEDOUT) {
    parts.cause = fmt::format("not done within {} s", location_.options.at("rados_osd_op_timeout"));
    parts.hint = "see 'ceph -s'";
  } else if (rc == -ESHUTDOWN) {
    cut_off_ = true;
  }
  throw Error(std::move(parts));
}

Changed RadosObject::change(const ObjectChange& change) {
  RadosWrite write;
  if (change.create) {
    write.create();
  } else {
    write.require_object();
  }
  if (!change.lease.empty()) {
    add_require_lock(write.get(), {change.lease, cookie_});
  }
  write.expect(change.expect);
  if (!change.ended_lease.empty()) {
    // Only who could have it himself may take it away.
    add_lock(write.get(), {change.ended_lease, cookie_}, this_process(), std::chrono::seconds(1),
             0);
    add_forget_lock(write.get(), change.ended_lease);
  }
  write.put(change);
  const int rc = write.operate(io(), place_.name);
  if (rc == -EEXIST || rc == -ECANCELED) {
    return Changed::kOtherwise;
  }
  if (rc == -EBUSY) {
    return change.lease.empty() || holds(change.lease) ? Changed::kOtherwise : Changed::kLeaseLost;
  }
  check(rc, "change");
  return Changed::kDone;
}

std::map<std::string, std::string> RadosObject::get(const std::vector<std::string>& keys) {
  std::map<std::string, std::string> values;
  if (keys.empty()) {
    return values;
  }
  RadosRead read;
  const int rc = read.get(keys, io(), place_.name, values);
  check(rc, "read");
  return values;
}

KeyRange RadosObject::list(const std::string& prefix, const std::string& after, size_t most) {
  KeyRange range;
  std::string from = after;
  do {
    RadosRead read;
    const size_t piece = std::min(most - range.keys.size(), kMostInOneAnswer);
    check(read.list(prefix, from, piece, io(), place_.name, range), "read");
    if (range.keys.empty() || range.keys.rbegin()->first == from) {
      range.more = false;
      break;
    }
    from = range.keys.rbegin()->first;
  } while (range.more && range.keys.size() < most);
  return range;
}

std::string RadosObject::data() {
  uint64_t size = 0;
  check(rados_stat(io(), place_.name.c_str(), &size, nullptr), "read");
  if (size > kMostData) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = place_.what,
                 .action = "read",
                 .cause = fmt::format("it has {} bytes, which no vmferry wrote", size)});
  }
  std::string bytes(size, '\0');
  const int got = rados_read(io(), place_.name.c_str(), bytes.data(), bytes.size(), 0);
  check(got, "read");
  bytes.resize(static_cast<size_t>(got));
  return bytes;
}

void RadosObject::remove() { check(rados_remove(io(), place_.name.c_str()), "remove"); }

int RadosObject::lock(const std::string& name, std::chrono::seconds duration, uint8_t flags) {
  RadosWrite write;
  write.require_object();
  add_lock(write.get(), {name, cookie_}, this_process(), duration, flags);
  return write.operate(io(), place_.name);
}

bool RadosObject::holds(const std::string& lease) {
  RadosWrite write;
  add_require_lock(write.get(), {lease, cookie_});
  const int rc = write.operate(io(), place_.name);
  if (rc != -EBUSY) {
    check(rc, "look at a lease");
  }
  return rc >= 0;
}

bool RadosObject::take_lease(const std::string& name, std::chrono::seconds duration) {
  const int rc = lock(name, duration, LIBRADOS_LOCK_FLAG_MAY_RENEW);
  if (rc != -EBUSY) {
    check(rc, "take a lease");
  }
  return rc >= 0;
}

bool RadosObject::renew_lease(const std::string& name, std::chrono::seconds duration) {
  const int rc = lock(name, duration, LIBRADOS_LOCK_FLAG_MUST_RENEW);
  if (rc == -EBUSY || rc == -ENOENT) {
    return false;
  }
  check(rc, "renew a lease");
  return true;
}

void RadosObject::drop_lease(const std::string& name) {
  RadosWrite write;
  add_require_lock(write.get(), {name, cookie_});
  add_forget_lock(write.get(), name);
  const int rc = write.operate(io(), place_.name);
  if (rc != -EBUSY && rc != -ENOENT) {
    check(rc, "give a lease back");
  }
}

std::set<std::string> RadosObject::leased(const std::vector<std::string>& names) {
  constexpr size_t kMostInOneQuestion = 100;
  std::set<std::string> held;
  for (size_t from = 0; from < names.size(); from += kMostInOneQuestion) {
    const size_t count = std::min(names.size() - from, kMostInOneQuestion);
    const auto first = names.begin() + static_cast<std::ptrdiff_t>(from);
    const std::vector<std::string> some(first, first + static_cast<std::ptrdiff_t>(count));
    check(ask_for_locks(some, io(), place_.name, held), "look at leases");
  }
  return held;
}

void RadosObject::announce(const ServiceName& service) {
  service_ = service;
  // What it is to know of this host, librados adds itself.
  rados_service_register(pool_->client().get(), service_.service.c_str(), service_.process.c_str(),
                         "");
}

void RadosObject::wake_all() {
  constexpr uint64_t kPatience = 2000;  // milliseconds; who is not reached looks by itself later
  char* reply = nullptr;
  size_t length = 0;
  rados_notify2(io(), place_.name.c_str(), nullptr, 0, kPatience, &reply, &length);
  rados_buffer_free(reply);
}

void RadosObject::watch() {
  constexpr std::chrono::seconds kAgain{5};  // it may take as long as any operation
  {
    const std::lock_guard lock(mutex_);
    if ((watch_ && !watch_failed_) || std::chrono::steady_clock::now() < watch_at_) {
      return;
    }
    watch_failed_ = false;
  }
  watch_at_ = std::chrono::steady_clock::now() + kAgain;
  const rados_ioctx_t pool = io();
  if (watch_) {
    rados_unwatch2(pool, *watch_);
    watch_.reset();
  }
  uint64_t handle = 0;
  if (rados_watch3(pool, place_.name.c_str(), &handle, on_notify, on_watch_error, 0, this) >= 0) {
    watch_ = handle;
  }
}

bool RadosObject::wait(std::chrono::milliseconds time) {
  watch();
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [this] { return woken_; });
  return std::exchange(woken_, false);
}

void RadosObject::on_notify(void* self, uint64_t notify, uint64_t handle, uint64_t /*notifier*/,
                            void* /*data*/, size_t /*length*/) {
  auto& object = *static_cast<RadosObject*>(self);
  rados_notify_ack(object.io_, object.place_.name.c_str(), notify, handle, nullptr, 0);
  const std::lock_guard lock(object.mutex_);
  object.woken_ = true;
  object.changed_.notify_all();
}

void RadosObject::on_watch_error(void* self, uint64_t /*handle*/, int /*error*/) {
  auto& object = *static_cast<RadosObject*>(self);
  const std::lock_guard lock(object.mutex_);
  object.watch_failed_ = true;
}

std::unique_ptr<SharedObject> open_shared_object(const SharedObjectPlace& place,
                                                 const CephOptions& options,
                                                 std::chrono::seconds patience) {
  return std::make_unique<RadosObject>(place, options, patience);
}

std::vector<std::string> pools_with_object(const std::string& name_space, const std::string& name,
                                           const CephOptions& options) {
  const RbdLocation location{.pool = {}, .options = {{"rados_osd_op_timeout", "5"}}};
  const auto client = connect_to_ceph(location, options, CephSharing::kOwn);
  std::vector<std::string> found;
  for (const std::string& pool : pools_of(client->get())) {
    rados_ioctx_t io = nullptr;
    if (rados_ioctx_create(client->get(), pool.c_str(), &io) < 0) {
      continue;
    }
    rados_ioctx_set_namespace(io, name_space.c_str());
    uint64_t size = 0;
    if (rados_stat(io, name.c_str(), &size, nullptr) >= 0) {
      found.push_back(pool);
    }
    rados_ioctx_destroy(io);
  }
  return found;
}

}  // namespace vmferry
