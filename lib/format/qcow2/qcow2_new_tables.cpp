// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_new_tables.h"

#include <algorithm>
#include <utility>

#include "lib/format/qcow2/qcow2_new_file.h"

namespace vmferry {
namespace {

constexpr uint64_t kUsedOnce = uint64_t{1} << 63;  // "copied": the cluster has a refcount of 1
constexpr uint64_t kZeros = 1;                     // a cluster of zeros that is not in the file

}  // namespace

Qcow2NewTables::Qcow2NewTables(uint32_t cluster_bits, uint64_t guest_size, uint64_t backed,
                               uint64_t budget)
    : cluster_(uint64_t{1} << cluster_bits),
      entries_(cluster_ / sizeof(uint64_t)),
      backed_(divide_up(backed, cluster_)),
      most_tables_(std::max<uint64_t>(1, budget / cluster_)),
      clusters_(divide_up(guest_size, cluster_)),
      l1_(divide_up(clusters_, entries_)) {}

void Qcow2NewTables::set(uint64_t guest_cluster, uint64_t entry) {
  Table& table = tables_[guest_cluster / entries_];
  table.resize(entries_);
  table[guest_cluster % entries_] = entry;
}

void Qcow2NewTables::set_zeros(uint64_t first, uint64_t end) {
  for (uint64_t at = first; at < end;) {
    const uint64_t index = at / entries_;
    const uint64_t table_end = std::min(end, (index + 1) * entries_);
    const uint64_t stop = before(index) != 0 ? table_end : std::min(table_end, backed_);
    for (; at < stop; ++at) {
      set(at, kZeros);
    }
    at = table_end;
  }
}

void Qcow2NewTables::resize(uint64_t guest_size) {
  const uint64_t clusters = divide_up(guest_size, cluster_);
  if (clusters < clusters_) {
    cut(clusters);
  }
  clusters_ = clusters;
  l1_.resize(divide_up(clusters, entries_));
  if (!before_.empty()) {
    before_.resize(l1_.size());  // a disk that grows again has zeros there
  }
}

/// What is behind the new end must not come back when the disk grows again.
void Qcow2NewTables::cut(uint64_t clusters) {
  tables_.erase(tables_.lower_bound(divide_up(clusters, entries_)), tables_.end());
  const uint64_t index = clusters / entries_;
  if (clusters % entries_ == 0 ||
      (l1_[index] == 0 && before(index) == 0 && !tables_.contains(index))) {
    return;
  }
  for (uint64_t at = clusters; at < (index + 1) * entries_; ++at) {
    set(at, kZeros);
  }
}

void Qcow2NewTables::keep_within_budget(Qcow2Space& space, FilePieces& pieces) {
  if (tables_.size() > most_tables_) {
    write_out(space, pieces);
  }
}

void Qcow2NewTables::write_out(Qcow2Space& space, FilePieces& pieces) {
  const auto new_ones = std::count_if(tables_.begin(), tables_.end(), [this](const auto& table) {
    return !is_placed(table.first);
  });
  uint64_t place = space.take_clusters(static_cast<uint64_t>(new_ones));
  for (const auto& [index, table] : tables_) {
    if (!is_placed(index)) {
      l1_[index] = place;
      place += cluster_;
    }
    append_table(pieces, l1_[index], table, TableZeros::kByWord);
  }
  tables_.clear();
}

bool Qcow2NewTables::needs_file() const {
  for (uint64_t index = 0; index < before_.size(); ++index) {
    if (needs_merge(index)) {
      return true;
    }
  }
  return false;
}

/// The entry of a cluster that reads as zeros.
uint64_t Qcow2NewTables::zeros_of(uint64_t guest_cluster) const {
  return guest_cluster < backed_ ? kZeros : 0;
}

/// What was set in this state, and for the rest what `old` says.
Qcow2NewTables::Table Qcow2NewTables::merged(uint64_t index, const Table& old, const Source& file) {
  Table table = is_placed(index) ? read_table(file, l1_[index], entries_) : Table(entries_);
  if (const auto found = tables_.find(index); found != tables_.end()) {
    for (uint64_t i = 0; i < entries_; ++i) {
      table[i] = found->second[i] != 0 ? found->second[i] : table[i];
    }
    tables_.erase(found);
  }
  for (uint64_t i = 0; i < entries_; ++i) {
    if (table[i] == 0) {
      table[i] = old[i] & ~kUsedOnce;
    } else if (table[i] == kZeros) {
      table[i] = zeros_of(index * entries_ + i);
    }
  }
  return table;
}

void Qcow2NewTables::merge(uint64_t index, Qcow2Space& space, const Source& file,
                           FilePieces& pieces) {
  Table old = read_table(file, before(index), entries_);
  const Table table = merged(index, old, file);
  if (!is_placed(index)) {
    std::for_each(old.begin(), old.end(), [](uint64_t& entry) { entry &= ~kUsedOnce; });
    if (table == old) {
      return;  // it is shared
    }
    if (std::all_of(table.begin(), table.end(), [](uint64_t entry) { return entry == 0; })) {
      l1_[index] = 0;
      return;
    }
    l1_[index] = space.take_clusters(1);
  }
  append_table(pieces, l1_[index], table, TableZeros::kWritten);
}

uint64_t Qcow2NewTables::complete(Qcow2Space& space, const Source* file, const Write& write) {
  FilePieces pieces;
  uint64_t waiting = 0;
  for (uint64_t index = 0; index < before_.size(); ++index) {
    if (!needs_merge(index)) {
      continue;
    }
    merge(index, space, *file, pieces);
    waiting += cluster_;
    if (waiting >= kWorthOneWrite) {
      write(std::exchange(pieces, {}));
      waiting = 0;
    }
  }
  write_out(space, pieces);
  uint64_t place = 0;
  if (!l1_.empty()) {
    std::vector<uint64_t> flagged = l1_;
    std::for_each(flagged.begin(), flagged.end(),
                  [](uint64_t& entry) { entry |= entry != 0 ? kUsedOnce : 0; });
    place = space.take_clusters(divide_up(flagged.size() * sizeof(uint64_t), cluster_));
    append_table(pieces, place, flagged, TableZeros::kWithEnd);
  }
  write(std::move(pieces));
  return place;
}

}  // namespace vmferry
