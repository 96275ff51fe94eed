// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/block_hasher.h"

#include <algorithm>

#include "lib/core/zeros.h"

namespace vmferry {
namespace {

constexpr uint64_t kStep = DiskDigest::kBlock;

/// Without the zeros at its end.
std::span<const std::byte> trimmed(std::span<const std::byte> bytes) {
  constexpr size_t kPage = 4096;
  while (bytes.size() >= kPage && is_zero(bytes.last(kPage))) {
    bytes = bytes.first(bytes.size() - kPage);
  }
  while (!bytes.empty() && bytes.back() == std::byte{0}) {
    bytes = bytes.first(bytes.size() - 1);
  }
  return bytes;
}

}  // namespace

void BlockHasher::add(uint64_t offset, std::span<const std::byte> bytes) {
  if (digest_ == nullptr) {
    return;
  }
  while (!bytes.empty()) {
    const uint64_t next_block = (offset / kStep + 1) * kStep;
    const size_t step = std::min<uint64_t>(bytes.size(), next_block - offset);
    add_within_block(offset, bytes.first(step));
    bytes = bytes.subspan(step);
    offset += step;
  }
}

void BlockHasher::add_within_block(uint64_t offset, std::span<const std::byte> bytes) {
  bytes = trimmed(bytes);
  if (bytes.empty()) {
    return;
  }
  const uint64_t block = offset / kStep * kStep;
  complete_until(block);
  if (!state_) {
    state_.emplace();
  }
  state_->add_zeros(offset - block - length_);
  state_->add(bytes);
  length_ = offset - block + bytes.size();
}

void BlockHasher::complete_until(uint64_t block) {
  while (begin_ < block) {
    BlockDigest digest;
    if (state_) {
      digest = {static_cast<uint32_t>(length_), state_->hash()};
    }
    done_.push_back(digest);
    state_.reset();
    length_ = 0;
    begin_ += kStep;
  }
}

void BlockHasher::finish() {
  if (digest_ == nullptr) {
    return;
  }
  uint64_t index = begin_ / kStep - done_.size();
  complete_until(end_);
  for (const BlockDigest& digest : done_) {
    digest_->set(index++, digest);
  }
  done_.clear();
}

}  // namespace vmferry
