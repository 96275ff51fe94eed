// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/format/qcow2/file_pieces.h"
#include "lib/format/qcow2/qcow2_recount.h"
#include "vmferry/history.h"

namespace vmferry {

/// The states of the disk that an image keeps: its internal snapshots, and their table. Memory: the
/// table, 64 MiB at most. One thread.
class Qcow2NewStates {
 public:
  /// Of the disk as it is: `size` bytes, with these tables. Throws Error kUnsupported, about
  /// `object`, where the image cannot have another one like that. Readers go by dates: none is
  /// before that of the state before.
  void add(const Point& point, uint64_t size, const Qcow2L1Place& l1, const std::string& object);
  size_t count() const { return l1_.size(); }
  const std::vector<std::string>& names() const { return names_; }
  /// Of all states, the oldest first.
  const std::vector<Qcow2L1Place>& l1() const { return l1_; }
  uint64_t table_bytes() const { return table_.size(); }
  /// Appends the table, which lies at `offset`.
  void append(FilePieces& pieces, uint64_t offset) const { pieces.push_back({offset, table_}); }

 private:
  std::vector<Qcow2L1Place> l1_;
  std::vector<std::string> names_;
  int64_t newest_seconds_ = 0;
  std::vector<std::byte> table_;
};

}  // namespace vmferry
