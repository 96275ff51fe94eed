// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rados/librados.h>

#include <chrono>
#include <string>

namespace vmferry {

/// The name of a claim's lock on its object, and its attributes: who owns it, and what its run
/// replaces.
inline constexpr const char* kClaimLock = "vmferry";
inline constexpr const char* kClaimOwner = "vmferry.owner";
inline constexpr const char* kClaimReplacing = "vmferry.replacing";

/// One operation on the object of a claim, which is done as a whole or not at all. For one thread.
class ClaimWrite {
 public:
  ClaimWrite() : op_(rados_create_write_op()) {}
  ClaimWrite(const ClaimWrite&) = delete;
  ClaimWrite& operator=(const ClaimWrite&) = delete;
  ~ClaimWrite() { rados_release_write_op(op_); }

  /// Only if there is no such object: else -EEXIST.
  void create();
  /// Only if the object is there and has that owner (empty: any): see is_another_owner().
  void require_owner(const std::string& owner);
  /// Only as long as the lock is held with that cookie: else -EBUSY.
  void require_lock(const std::string& cookie);
  /// As rados_lock_exclusive() does it.
  void lock(const std::string& cookie, const std::string& description,
            std::chrono::seconds duration);
  void set(const char* attribute, const std::string& value);
  void remove() { rados_write_op_remove(op_); }

  /// 0, or a negative code.
  int operate(rados_ioctx_t io, const std::string& object) {
    return rados_write_op_operate(op_, io, object.c_str(), nullptr, 0);
  }

 private:
  rados_write_op_t op_;
};

/// Was that require_owner()?
bool is_another_owner(int rc);

}  // namespace vmferry
