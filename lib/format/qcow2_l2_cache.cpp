// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2_l2_cache.h"

#include <algorithm>
#include <span>

#include "lib/format/byte_reader.h"

namespace vmferry {
namespace {

// What the list, the index and the vector cost beside the words; it counts with 512-byte tables.
constexpr uint64_t kNodeOverhead = 192;

}  // namespace

Qcow2L2Cache::Qcow2L2Cache(const Source& file, uint64_t table_bytes, uint64_t budget)
    : file_(file),
      table_bytes_(table_bytes),
      max_tables_(std::max<uint64_t>(1, budget / (table_bytes + kNodeOverhead))) {}

std::shared_ptr<const Qcow2L2Table> Qcow2L2Cache::get(uint64_t host_offset) {
  if (auto table = find(host_offset)) return table;
  // Two threads may load the same table at once: cheaper than making all wait for one read.
  auto table = load(host_offset);
  std::list<Node> evicted;  // freed after the lock
  const std::lock_guard lock(mutex_);
  if (const auto known = index_.find(host_offset); known != index_.end()) {
    return known->second->table;
  }
  if (recent_first_.size() >= max_tables_) {
    index_.erase(recent_first_.back().host_offset);
    evicted.splice(evicted.begin(), recent_first_, std::prev(recent_first_.end()));
  }
  recent_first_.push_front({host_offset, table});
  index_[host_offset] = recent_first_.begin();
  return table;
}

std::shared_ptr<const Qcow2L2Table> Qcow2L2Cache::find(uint64_t host_offset) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(host_offset);
  if (found == index_.end()) return nullptr;
  recent_first_.splice(recent_first_.begin(), recent_first_, found->second);
  return found->second->table;
}

std::shared_ptr<const Qcow2L2Table> Qcow2L2Cache::load(uint64_t host_offset) const {
  auto table = std::make_shared<Qcow2L2Table>(table_bytes_ / sizeof(uint64_t));
  file_.read_at(host_offset, std::as_writable_bytes(std::span(*table)));
  from_big_endian(*table);
  return table;
}

}  // namespace vmferry
