// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rados/librados.h>

#include <map>
#include <string>
#include <vector>

#include "lib/store/rbd/shared_object.h"

namespace vmferry {

/// One operation that writes to an object. For one thread.
class RadosWrite {
 public:
  RadosWrite() : op_(rados_create_write_op()) {}
  RadosWrite(const RadosWrite&) = delete;
  RadosWrite& operator=(const RadosWrite&) = delete;
  ~RadosWrite() { rados_release_write_op(op_); }

  /// Only if there is no such object: else -EEXIST.
  void create() { rados_write_op_create(op_, LIBRADOS_CREATE_EXCLUSIVE, nullptr); }
  /// Only if there is one: else -ENOENT.
  void require_object() { rados_write_op_assert_exists(op_); }
  /// Else -ECANCELED. A key that is not there passes for an empty value (OSD_OMAP_CMP).
  void expect(const std::map<std::string, std::string>& values);
  /// What the change makes of data and keys.
  void put(const ObjectChange& change);

  rados_write_op_t get() const { return op_; }
  /// 0, or a negative code.
  int operate(rados_ioctx_t io, const std::string& object) {
    return rados_write_op_operate(op_, io, object.c_str(), nullptr, 0);
  }

 private:
  rados_write_op_t op_;
};

/// One question to an object. For one thread, once. All return 0, or a negative code.
class RadosRead {
 public:
  RadosRead() : op_(rados_create_read_op()) {}
  RadosRead(const RadosRead&) = delete;
  RadosRead& operator=(const RadosRead&) = delete;
  ~RadosRead() { rados_release_read_op(op_); }

  int get(const std::vector<std::string>& keys, rados_ioctx_t io, const std::string& object,
          std::map<std::string, std::string>& values);
  /// Adds to `range`.
  int list(const std::string& prefix, const std::string& after, size_t most, rados_ioctx_t io,
           const std::string& object, KeyRange& range);

 private:
  rados_read_op_t op_;
};

/// The names of the pools there are.
std::vector<std::string> pools_of(rados_t cluster);

}  // namespace vmferry
