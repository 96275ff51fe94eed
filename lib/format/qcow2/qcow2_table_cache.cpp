// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_table_cache.h"

#include <span>

#include "lib/core/endian.h"

namespace vmferry {
namespace {

// What the list, the index and the vector cost beside the words; it counts with 512-byte tables.
constexpr uint64_t kNodeOverhead = 192;

uint64_t cost(const Qcow2Table& table) { return table.size() * sizeof(uint64_t) + kNodeOverhead; }

std::shared_ptr<const Qcow2Table> load(const Source& file, uint64_t offset, uint64_t bytes) {
  auto table = std::make_shared<Qcow2Table>(bytes / sizeof(uint64_t));
  file.read_at(offset, std::as_writable_bytes(std::span(*table)));
  from_big_endian(*table);
  return table;
}

}  // namespace

uint64_t Qcow2TableCache::add_user() {
  const std::lock_guard lock(mutex_);
  return users_++;
}

std::shared_ptr<const Qcow2Table> Qcow2TableCache::get(uint64_t user, const Source& file,
                                                       uint64_t offset, uint64_t bytes) {
  const Key key{user, offset};
  if (auto table = find(key)) {
    return table;
  }
  // Two threads may load the same table at once: cheaper than making all wait for one read.
  auto table = load(file, offset, bytes);
  Nodes evicted;  // freed after the lock
  const std::lock_guard lock(mutex_);
  if (const auto known = index_.find(key); known != index_.end()) {
    return known->second->table;
  }
  used_ += cost(*table);
  while (used_ > budget_ && !recent_first_.empty()) {
    used_ -= cost(*recent_first_.back().table);
    index_.erase(recent_first_.back().key);
    evicted.splice(evicted.begin(), recent_first_, std::prev(recent_first_.end()));
  }
  recent_first_.push_front({key, table});
  index_[key] = recent_first_.begin();
  return table;
}

std::shared_ptr<const Qcow2Table> Qcow2TableCache::find(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) {
    return nullptr;
  }
  recent_first_.splice(recent_first_.begin(), recent_first_, found->second);
  return found->second->table;
}

}  // namespace vmferry
