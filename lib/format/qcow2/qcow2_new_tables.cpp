// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_new_tables.h"

#include <algorithm>

namespace vmferry {
namespace {

constexpr uint64_t kUsedOnce = uint64_t{1} << 63;  // "copied": the cluster has a refcount of 1

}  // namespace

Qcow2NewTables::Qcow2NewTables(uint32_t cluster_bits, uint64_t guest_size, uint64_t budget)
    : cluster_(uint64_t{1} << cluster_bits),
      entries_(cluster_ / sizeof(uint64_t)),
      most_tables_(std::max<uint64_t>(1, budget / cluster_)),
      l1_(divide_up(guest_size, cluster_ * entries_)) {}

void Qcow2NewTables::set(uint64_t guest_cluster, uint64_t entry) {
  Table& table = tables_[guest_cluster / entries_];
  table.resize(entries_);
  table[guest_cluster % entries_] = entry;
}

void Qcow2NewTables::keep_within_budget(Qcow2Space& space, FilePieces& pieces) {
  if (tables_.size() > most_tables_) {
    write_out(space, pieces);
  }
}

void Qcow2NewTables::write_out(Qcow2Space& space, FilePieces& pieces) {
  const auto new_ones = std::count_if(tables_.begin(), tables_.end(),
                                      [this](const auto& table) { return l1_[table.first] == 0; });
  uint64_t place = space.take_clusters(static_cast<uint64_t>(new_ones));
  for (const auto& [index, table] : tables_) {
    if (l1_[index] == 0) {
      l1_[index] = place | kUsedOnce;
      append_table(pieces, place, table, TableZeros::kByWord);
      place += cluster_;
    } else {
      append_table(pieces, l1_[index] & ~kUsedOnce, table, TableZeros::kByWord);
    }
  }
  tables_.clear();
}

uint64_t Qcow2NewTables::finish(Qcow2Space& space, FilePieces& pieces) {
  write_out(space, pieces);
  if (l1_.empty()) {
    return 0;
  }
  const uint64_t bytes = l1_.size() * sizeof(uint64_t);
  const uint64_t place = space.take_clusters(divide_up(bytes, cluster_));
  append_table(pieces, place, l1_, TableZeros::kByPage);
  return place;
}

}  // namespace vmferry
