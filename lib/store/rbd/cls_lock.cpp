// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/cls_lock.h"

#include "lib/store/rbd/rados_text.h"

namespace vmferry {
namespace {

constexpr char kExclusive = 1;  // ClsLockType

/// A request to a class of objects: its version, the oldest that can read it, and its length, which
/// is encoded as a text's is.
std::string request(const std::string& body) { return std::string{1, 1} + encode_rados_text(body); }

/// A number of four bytes, the lowest first.
std::string number(uint32_t value) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) {
    bytes += static_cast<char>(value >> shift & 0xff);
  }
  return bytes;
}

/// What all requests of cls_lock begin with: the lock, its type, a cookie, and no tag.
std::string which_lock(const ObjectLock& lock) {
  return encode_rados_text(lock.name) + kExclusive + encode_rados_text(lock.cookie) +
         encode_rados_text("");
}

}  // namespace

void add_lock(rados_write_op_t op, const ObjectLock& lock, const std::string& description,
              std::chrono::seconds duration, uint8_t flags) {
  // cls_lock_lock_op. A duration has seconds and nanoseconds.
  const std::string wanted = request(which_lock(lock) + encode_rados_text(description) +
                                     number(static_cast<uint32_t>(duration.count())) + number(0) +
                                     static_cast<char>(flags));
  rados_write_op_exec(op, "lock", "lock", wanted.data(), wanted.size(), nullptr);
}

void add_require_lock(rados_write_op_t op, const ObjectLock& lock) {
  const std::string wanted = request(which_lock(lock));  // cls_lock_assert_op
  rados_write_op_exec(op, "lock", "assert_locked", wanted.data(), wanted.size(), nullptr);
}

void add_forget_lock(rados_write_op_t op, const std::string& name) {
  rados_write_op_rmxattr(op, ("lock." + name).c_str());  // LOCK_PREFIX of cls_lock.cc
}

}  // namespace vmferry
