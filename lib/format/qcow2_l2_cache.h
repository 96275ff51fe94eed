// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "vmferry/source.h"

namespace vmferry {

/// The words of an L2 table in this machine's byte order.
using Qcow2L2Table = std::vector<uint64_t>;

/// The most recently used L2 tables of one image file, within a budget of bytes that does not
/// depend on the image. The key is the place in the file, so tables that several L1 entries share
/// are kept once. Any thread may call get(); tables that callers still hold live on outside the
/// budget.
class Qcow2L2Cache {
 public:
  static constexpr uint64_t kDefaultBudget = uint64_t{32} << 20;

  /// `file` must outlive the cache; tables are `table_bytes` long.
  Qcow2L2Cache(const Source& file, uint64_t table_bytes, uint64_t budget = kDefaultBudget);

  /// The table at `host_offset`, read from the file unless it is here. Throws what read_at throws.
  /// REQUIRES: host_offset + table_bytes <= file.size().
  std::shared_ptr<const Qcow2L2Table> get(uint64_t host_offset);

 private:
  struct Node {
    uint64_t host_offset;
    std::shared_ptr<const Qcow2L2Table> table;
  };

  std::shared_ptr<const Qcow2L2Table> find(uint64_t host_offset);
  std::shared_ptr<const Qcow2L2Table> load(uint64_t host_offset) const;

  const Source& file_;
  const uint64_t table_bytes_;
  const uint64_t max_tables_;
  std::mutex mutex_;
  std::list<Node> recent_first_;  // guarded by mutex_, as is the index
  std::unordered_map<uint64_t, std::list<Node>::iterator> index_;
};

}  // namespace vmferry
