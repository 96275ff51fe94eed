// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_counts.h"

#include <algorithm>
#include <limits>
#include <span>
#include <stdexcept>
#include <utility>

#include "lib/core/endian.h"

namespace vmferry {
Qcow2Counts::Qcow2Counts(uint32_t cluster_bits, Qcow2NewFile& file, Qcow2Space::Blocks blocks,
                         uint64_t budget)
    : cluster_(uint64_t{1} << cluster_bits),
      per_block_(cluster_ / sizeof(uint32_t)),
      most_blocks_(std::max<uint64_t>(1, budget / cluster_)),
      file_(file),
      places_(std::move(blocks)) {}

void Qcow2Counts::add(uint64_t offset, uint64_t bytes, uint64_t times) {
  const uint64_t end = divide_up(offset + bytes, cluster_);
  for (uint64_t at = offset / cluster_; at < end;) {
    if (at / per_block_ >= places_.places.size()) {
      throw damaged_table(file_.name(), at * cluster_);
    }
    Counts& counts = block(at / per_block_);
    const uint64_t block_end = std::min(end, (at / per_block_ + 1) * per_block_);
    for (; at < block_end; ++at) {
      uint32_t& count = counts[at % per_block_];
      if (times > std::numeric_limits<uint32_t>::max() - count) {
        throw std::logic_error("a cluster is used too often");
      }
      count += static_cast<uint32_t>(times);
    }
  }
}

Qcow2Counts::Counts& Qcow2Counts::block(uint64_t index) {
  const auto found = blocks_.find(index);
  if (found != blocks_.end()) {
    return found->second;
  }
  if (blocks_.size() >= most_blocks_) {
    write_out();
  }
  return blocks_[index] = load(index);
}

Qcow2Counts::Counts Qcow2Counts::load(uint64_t index) {
  Counts counts(per_block_);
  if (!in_file_.contains(index)) {
    return counts;
  }
  if (!written_) {
    written_ = file_.written();
  }
  std::vector<std::byte> bytes(cluster_);
  written_->read_at(places_.places[index], bytes);
  for (uint64_t i = 0; i < per_block_; ++i) {
    counts[i] = static_cast<uint32_t>(big_endian(std::span(bytes).subspan(4 * i, 4)));
  }
  return counts;
}

void Qcow2Counts::write_out() {
  FilePieces pieces;
  for (const auto& [index, counts] : blocks_) {
    append_table(pieces, places_.places[index], counts, TableZeros::kWritten);
    in_file_.insert(index);
    if (pieces.size() * cluster_ >= kWorthOneWrite) {
      file_.write(std::exchange(pieces, {}));
    }
  }
  file_.write(std::move(pieces));
  blocks_.clear();
  written_.reset();
}

Qcow2Space::Table Qcow2Counts::finish() {
  add(places_.table.offset, places_.table.clusters * cluster_, 1);
  for (const uint64_t place : places_.places) {
    add(place, cluster_, 1);
  }
  write_out();
  FilePieces pieces;
  append_table(pieces, places_.table.offset, places_.places, TableZeros::kWithEnd);
  file_.write(std::move(pieces));
  return places_.table;
}

}  // namespace vmferry
