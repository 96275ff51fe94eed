// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "lib/format/qcow2/file_pieces.h"
#include "lib/format/qcow2/qcow2_space.h"
#include "vmferry/source.h"

namespace vmferry {

/// The L1 and L2 tables of an image that is being made, within a budget of memory: beside the L1
/// tables (32 MiB at most each), L2 tables are kept until there are too many. Then all of them go
/// into the file, each in a cluster of its own, and what is set later is written beside what is
/// there already: no entry is set twice, and none is read. So pieces may be written in any order,
/// also those of several calls: whoever sets entries writes them when nobody else is kept waiting.
/// Tables without entries are not made.
///
/// complete() ends a state of the disk. What is set after begin_next() makes the next one: its
/// tables have only what was set since, until complete() adds what the tables before say of the
/// rest. A table in which nothing was set is shared. One thread at a time.
class Qcow2NewTables {
 public:
  static constexpr uint64_t kBudget = uint64_t{16} << 20;  ///< bytes

  using Write = std::function<void(FilePieces)>;

  /// `backed`: so many bytes of the disk show a backing image where nothing is set.
  Qcow2NewTables(uint32_t cluster_bits, uint64_t guest_size, uint64_t backed = 0,
                 uint64_t budget = kBudget);

  uint64_t l1_entries() const { return l1_.size(); }
  /// Sets the L2 entry of a cluster of the guest; not 0, and once in a state.
  void set(uint64_t guest_cluster, uint64_t entry);
  /// Clusters `first` to `end` - 1 read as zeros. Where they do anyway nothing is set.
  void set_zeros(uint64_t first, uint64_t end);
  /// The disk has another size: between two writes.
  void resize(uint64_t guest_size);
  /// Appends all L2 tables if they have used up the budget.
  void keep_within_budget(Qcow2Space& space, FilePieces& pieces);

  /// Does complete() need what was written?
  bool needs_file() const;
  /// Writes what is left, and the L1 table, behind all else. Returns where that is; 0: there is
  /// none, as the disk has no bytes. `file`: what was written so far; null: !needs_file().
  uint64_t complete(Qcow2Space& space, const Source* file, const Write& write);
  /// What is set from now on changes what was completed.
  void begin_next() { before_ = l1_; }

 private:
  using Table = std::vector<uint64_t>;

  /// Of the completed state: where its table is; 0: it has none.
  uint64_t before(uint64_t index) const { return index < before_.size() ? before_[index] : 0; }
  bool is_placed(uint64_t index) const { return l1_[index] != before(index); }
  bool needs_merge(uint64_t index) const {
    return before(index) != 0 && (is_placed(index) || tables_.contains(index));
  }
  uint64_t zeros_of(uint64_t guest_cluster) const;
  void cut(uint64_t clusters);
  void write_out(Qcow2Space& space, FilePieces& pieces);
  Table merged(uint64_t index, const Table& old, const Source& file);
  void merge(uint64_t index, Qcow2Space& space, const Source& file, FilePieces& pieces);

  const uint64_t cluster_;
  const uint64_t entries_;  ///< of an L2 table
  const uint64_t backed_;   ///< clusters of the guest
  const uint64_t most_tables_;
  uint64_t clusters_;                 ///< of the guest
  std::vector<uint64_t> l1_;          ///< where tables are
  std::vector<uint64_t> before_;      ///< the same of the completed state; none: all 0
  std::map<uint64_t, Table> tables_;  ///< by index in the L1 table: what is not in the file
};

}  // namespace vmferry
