// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "lib/format/qcow2/file_pieces.h"
#include "lib/format/qcow2/qcow2_space.h"

namespace vmferry {

/// The L1 and L2 tables of an image that is being made, within a budget of memory: beside the L1
/// table (32 MiB at most), L2 tables are kept until there are too many. Then all of them go into
/// the file, each in a cluster of its own, and what is set later is written beside what is there
/// already: no entry is set twice, and none is read. So pieces may be written in any order, also
/// those of several calls: whoever sets entries writes them when nobody else is kept waiting.
/// Tables without entries are not made. One thread at a time.
class Qcow2NewTables {
 public:
  static constexpr uint64_t kBudget = uint64_t{16} << 20;  ///< bytes

  Qcow2NewTables(uint32_t cluster_bits, uint64_t guest_size, uint64_t budget = kBudget);

  uint64_t l1_entries() const { return l1_.size(); }
  /// Sets the L2 entry of a cluster of the guest; not 0, and once.
  void set(uint64_t guest_cluster, uint64_t entry);
  /// Appends all L2 tables if they have used up the budget.
  void keep_within_budget(Qcow2Space& space, FilePieces& pieces);
  /// Appends what is left, and the L1 table. Returns where that is; 0: there is none, as the disk
  /// has no bytes.
  uint64_t finish(Qcow2Space& space, FilePieces& pieces);

 private:
  using Table = std::vector<uint64_t>;

  void write_out(Qcow2Space& space, FilePieces& pieces);

  const uint64_t cluster_;
  const uint64_t entries_;  ///< of an L2 table
  const uint64_t most_tables_;
  std::vector<uint64_t> l1_;
  std::map<uint64_t, Table> tables_;  ///< by index in the L1 table: what is not in the file
};

}  // namespace vmferry
