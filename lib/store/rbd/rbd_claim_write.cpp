// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_claim_write.h"

#include <cerrno>

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
std::string which_lock(const std::string& cookie) {
  return encode_rados_text(kClaimLock) + kExclusive + encode_rados_text(cookie) +
         encode_rados_text("");
}

}  // namespace

void ClaimWrite::create() { rados_write_op_create(op_, LIBRADOS_CREATE_EXCLUSIVE, nullptr); }

void ClaimWrite::require_owner(const std::string& owner) {
  rados_write_op_assert_exists(op_);
  if (!owner.empty()) {
    rados_write_op_cmpxattr(op_, kClaimOwner, LIBRADOS_CMPXATTR_OP_EQ, owner.data(), owner.size());
  }
}

void ClaimWrite::require_lock(const std::string& cookie) {
  const std::string wanted = request(which_lock(cookie));  // cls_lock_assert_op
  rados_write_op_exec(op_, "lock", "assert_locked", wanted.data(), wanted.size(), nullptr);
}

void ClaimWrite::lock(const std::string& cookie, const std::string& description,
                      std::chrono::seconds duration) {
  constexpr char kNoFlags = 0;
  // cls_lock_lock_op. A duration has seconds and nanoseconds.
  const std::string wanted =
      request(which_lock(cookie) + encode_rados_text(description) +
              number(static_cast<uint32_t>(duration.count())) + number(0) + kNoFlags);
  rados_write_op_exec(op_, "lock", "lock", wanted.data(), wanted.size(), nullptr);
}

void ClaimWrite::set(const char* attribute, const std::string& value) {
  rados_write_op_setxattr(op_, attribute, value.data(), value.size());
}

bool is_another_owner(int rc) { return rc == -ECANCELED || rc == -ENOENT; }

}  // namespace vmferry
