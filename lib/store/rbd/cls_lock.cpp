// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/cls_lock.h"

#include <deque>
#include <string_view>

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

/// What is answered to one question of several.
struct LockAnswer {
  ~LockAnswer() { rados_buffer_free(bytes); }
  LockAnswer() = default;
  LockAnswer(const LockAnswer&) = delete;
  LockAnswer& operator=(const LockAnswer&) = delete;

  /// cls_lock_get_info_reply: version, oldest reader and length, then a map of holders, which
  /// begins with their number. Those whose time is over are left out.
  bool has_holder() const {
    constexpr size_t kHeader = 6;
    return length >= kHeader + 4 && std::string_view(bytes + kHeader, 4) != number(0);
  }

  char* bytes = nullptr;
  size_t length = 0;
  int result = 0;
};

}  // namespace

int ask_for_locks(const std::vector<std::string>& names, rados_ioctx_t io,
                  const std::string& object, std::set<std::string>& held) {
  const rados_read_op_t op = rados_create_read_op();
  std::deque<LockAnswer> answers;  // they stay where they are
  for (const std::string& name : names) {
    const std::string wanted = request(encode_rados_text(name));  // cls_lock_get_info_op
    LockAnswer& answer = answers.emplace_back();
    rados_read_op_exec(op, "lock", "get_info", wanted.data(), wanted.size(), &answer.bytes,
                       &answer.length, &answer.result);
  }
  const int rc = rados_read_op_operate(op, io, object.c_str(), 0);
  rados_release_read_op(op);
  for (size_t i = 0; rc >= 0 && i < names.size(); ++i) {
    if (answers[i].result >= 0 && answers[i].has_holder()) {
      held.insert(names[i]);
    }
  }
  return rc;
}

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
