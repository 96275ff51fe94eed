// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "vmferry/source.h"

namespace vmferry {

/// The words of a table, or of a part of one, in this machine's byte order.
using Qcow2Table = std::vector<uint64_t>;

/// The most recently used tables of all images of a backing chain, within one budget of bytes that
/// depends neither on the images nor on their number. The key is the place in the file, so tables
/// that several L1 entries share are kept once. Any thread may call it; tables that callers still
/// hold live on outside the budget.
class Qcow2TableCache {
 public:
  static constexpr uint64_t kDefaultBudget = uint64_t{32} << 20;

  explicit Qcow2TableCache(uint64_t budget = kDefaultBudget) : budget_(budget) {}

  /// Whoever keeps tables here has a number of his own, and calls get() with one length for one
  /// place.
  uint64_t add_user();

  /// The table of `bytes` at `offset` of `file`, read unless it is here. Throws what read_at
  /// throws. REQUIRES: offset + bytes <= file.size(), bytes a multiple of 8.
  std::shared_ptr<const Qcow2Table> get(uint64_t user, const Source& file, uint64_t offset,
                                        uint64_t bytes);

 private:
  using Key = std::pair<uint64_t, uint64_t>;  // user, offset
  struct Node {
    Key key;
    std::shared_ptr<const Qcow2Table> table;
  };
  using Nodes = std::list<Node>;

  std::shared_ptr<const Qcow2Table> find(const Key& key);

  const uint64_t budget_;
  std::mutex mutex_;  // guards what follows
  uint64_t users_ = 0;
  uint64_t used_ = 0;
  Nodes recent_first_;
  std::map<Key, Nodes::iterator> index_;
};

}  // namespace vmferry
