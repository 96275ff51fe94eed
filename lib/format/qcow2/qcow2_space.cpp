// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_space.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <stdexcept>

namespace vmferry {
namespace {

// Other clusters are kept out of the space for streams by setting some aside. What no stream fits
// into at its end is lost, and so is what is left when the image is complete: so it should be much
// for a stream, and little for an image.
constexpr uint64_t kMostAside = uint64_t{1} << 20;
constexpr uint64_t kShareAside = 8;
constexpr uint64_t kWorthWriting = uint64_t{64} << 10;

}  // namespace

Qcow2Space::Qcow2Space(uint32_t cluster_bits)
    : cluster_(uint64_t{1} << cluster_bits), per_block_(cluster_ / sizeof(uint16_t)), end_(0) {
  take_clusters(1);
}

Qcow2Space::Counts& Qcow2Space::block(uint64_t index) {
  Counts& counts = blocks_[index];
  counts.resize(per_block_);
  return counts;
}

void Qcow2Space::count_use(uint64_t first, uint64_t clusters) {
  if (!is_counting_) {
    return;
  }
  for (uint64_t at = first; at < first + clusters;) {
    Counts& counts = block(at / per_block_);
    const uint64_t end = std::min(first + clusters, (at / per_block_ + 1) * per_block_);
    for (; at < end; ++at) {
      uint16_t& count = counts[at % per_block_];
      // The shortest stream of a 2 MiB cluster, in zstd, has 64 bytes: 32768 of them fit in one.
      if (count == std::numeric_limits<uint16_t>::max()) {
        throw std::logic_error("a cluster is used too often");
      }
      ++count;
    }
  }
}

uint64_t Qcow2Space::take_clusters(uint64_t count) {
  const uint64_t offset = end_;
  count_use(offset / cluster_, count);
  end_ += count * cluster_;
  return offset;
}

uint64_t Qcow2Space::take_stream(uint64_t bytes) {
  if (bytes > streams_end_ - stream_) {
    if (streams_end_ != end_) {
      stream_ = end_;  // other clusters are in the way
    }
    const uint64_t aside = std::min(kMostAside, taken_for_streams_ / kShareAside);
    end_ += divide_up(std::max(aside, bytes), cluster_) * cluster_;
    streams_end_ = end_;
  }
  const uint64_t offset = stream_;
  stream_ += bytes;
  taken_for_streams_ += bytes;
  const uint64_t first = offset / cluster_;
  count_use(first, (stream_ - 1) / cluster_ - first + 1);
  return offset;
}

bool Qcow2Space::is_final(uint64_t index) const {
  const uint64_t begin = index * per_block_ * cluster_;
  const uint64_t end = begin + per_block_ * cluster_;
  const bool may_get_streams = begin < streams_end_ && stream_ < end;
  return end <= end_ && !may_get_streams;
}

void Qcow2Space::write_final_blocks(FilePieces& pieces) {
  if (blocks_.size() * cluster_ < 2 * kWorthWriting) {
    return;
  }
  std::vector<uint64_t> final_ones;
  for (const auto& [index, counts] : blocks_) {
    if (is_final(index)) {
      final_ones.push_back(index);
    }
  }
  if (final_ones.empty()) {
    return;
  }
  uint64_t place = take_clusters(final_ones.size());
  table_.resize(std::max(table_.size(), final_ones.back() + 1));
  for (const uint64_t index : final_ones) {
    append_table(pieces, place, blocks_.at(index), TableZeros::kByPage);
    blocks_.erase(index);
    table_[index] = place;
    place += cluster_;
  }
  written_blocks_ += final_ones.size();
}

void Qcow2Space::give_back_rest() {
  if (streams_end_ == end_) {
    end_ = divide_up(stream_, cluster_) * cluster_;
  }
  streams_end_ = stream_;
}

Qcow2Space::Needed Qcow2Space::needed(uint64_t per_block, uint64_t blocks_there) const {
  // Blocks and table count themselves, and may need more of both for that.
  Needed all;
  for (;;) {
    const uint64_t new_blocks = all.blocks - std::min(all.blocks, blocks_there);
    const uint64_t blocks = divide_up(end_ / cluster_ + new_blocks + all.table, per_block);
    if (blocks == all.blocks) {
      return all;
    }
    all = {blocks, divide_up(blocks * sizeof(uint64_t), cluster_)};
  }
}

Qcow2Space::Table Qcow2Space::finish(FilePieces& pieces) {
  give_back_rest();
  const auto [all, table] = needed(per_block_, written_blocks_);
  uint64_t place = take_clusters(all - written_blocks_ + table);
  table_.resize(table * cluster_ / sizeof(uint64_t));
  for (uint64_t index = 0; index < all; ++index) {
    if (table_[index] == 0) {
      append_table(pieces, place, block(index), TableZeros::kByPage);
      table_[index] = place;
      place += cluster_;
    }
  }
  append_table(pieces, place, table_, TableZeros::kWithEnd);
  return {place, table};
}

void Qcow2Space::stop_counting() {
  is_counting_ = false;
  std::copy_if(table_.begin(), table_.end(), std::back_inserter(spare_),
               [](uint64_t place) { return place != 0; });
  table_.clear();
  blocks_.clear();
}

Qcow2Space::Blocks Qcow2Space::take_blocks() {
  give_back_rest();
  const auto [all, table] = needed(cluster_ / sizeof(uint32_t), spare_.size());
  Blocks blocks;
  blocks.places = std::move(spare_);
  blocks.places.resize(std::min<uint64_t>(all, blocks.places.size()));
  const uint64_t more = all - blocks.places.size();
  const uint64_t place = take_clusters(more + table);
  for (uint64_t i = 0; i < more; ++i) {
    blocks.places.push_back(place + i * cluster_);
  }
  blocks.table = {place + more * cluster_, table};
  return blocks;
}

}  // namespace vmferry
