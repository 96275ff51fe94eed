// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_claim_write.h"

#include <cerrno>

#include "lib/store/rbd/cls_lock.h"

namespace vmferry {

void ClaimWrite::create() { rados_write_op_create(op_, LIBRADOS_CREATE_EXCLUSIVE, nullptr); }

void ClaimWrite::require_owner(const std::string& owner) {
  rados_write_op_assert_exists(op_);
  if (!owner.empty()) {
    rados_write_op_cmpxattr(op_, kClaimOwner, LIBRADOS_CMPXATTR_OP_EQ, owner.data(), owner.size());
  }
}

void ClaimWrite::require_lock(const std::string& cookie) {
  add_require_lock(op_, {kClaimLock, cookie});
}

void ClaimWrite::lock(const std::string& cookie, const std::string& description,
                      std::chrono::seconds duration) {
  add_lock(op_, {kClaimLock, cookie}, description, duration, 0);
}

void ClaimWrite::set(const char* attribute, const std::string& value) {
  rados_write_op_setxattr(op_, attribute, value.data(), value.size());
}

bool is_another_owner(int rc) { return rc == -ECANCELED || rc == -ENOENT; }

}  // namespace vmferry
