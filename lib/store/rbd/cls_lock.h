// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rados/librados.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

// Locks of an object (cls_lock) as a part of an operation, which librados has no calls for.
// For one thread.

namespace vmferry {

struct ObjectLock {
  std::string name;
  std::string cookie;
};

/// As rados_lock_exclusive() takes and renews it; `flags` are those of that call.
void add_lock(rados_write_op_t op, const ObjectLock& lock, const std::string& description,
              std::chrono::seconds duration, uint8_t flags);
/// Only as long as the lock is held through this client with that cookie: else -EBUSY.
void add_require_lock(rados_write_op_t op, const ObjectLock& lock);
/// Adds those of these locks that anybody holds to `held`. 0, or a negative code.
int ask_for_locks(const std::vector<std::string>& names, rados_ioctx_t io,
                  const std::string& object, std::set<std::string>& held);
/// Takes the lock away, whoever holds it, with its attribute: rados_unlock() would leave that.
void add_forget_lock(rados_write_op_t op, const std::string& name);

}  // namespace vmferry
