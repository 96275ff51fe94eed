// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "lib/core/endian.h"
#include "lib/core/xxh64.h"

namespace vmferry {
namespace {

constexpr std::string_view kPrefix = "xxh64t:";

}  // namespace

struct DiskDigest::Entry {
  uint64_t hash = 0;
  uint32_t length = 0;
  bool known = false;
};

struct DiskDigest::Piece {
  std::array<Entry, kBlocksPerPiece> entries;
  bool changed = false;

  bool is_zero() const {
    return std::all_of(entries.begin(), entries.end(),
                       [](const Entry& entry) { return entry.length == 0; });
  }
  uint64_t hash() const {
    constexpr size_t kEntry = 12;
    std::array<std::byte, kEntry* kBlocksPerPiece> text = {};
    for (size_t i = 0; i < entries.size(); ++i) {
      put_little_endian<4>(text, i * kEntry, entries[i].length);
      put_little_endian<8>(text, i * kEntry + 4, entries[i].hash);
    }
    return xxh64(text);
  }
};

DiskDigest::DiskDigest(uint64_t size) : size_(size) {}
DiskDigest::~DiskDigest() = default;

void DiskDigest::set(uint64_t index, const BlockDigest& digest) {
  const std::lock_guard lock(mutex_);
  const size_t piece = index / kBlocksPerPiece;
  if (piece >= pieces_.size()) {
    pieces_.resize(piece + 1);
  }
  if (!pieces_[piece]) {
    pieces_[piece] = std::make_unique<Piece>();
  }
  pieces_[piece]->entries[index % kBlocksPerPiece] = {digest.hash, digest.length, true};
  pieces_[piece]->changed = true;
}

void DiskDigest::forget(uint64_t index) {
  const std::lock_guard lock(mutex_);
  const size_t piece = index / kBlocksPerPiece;
  if (piece < pieces_.size() && pieces_[piece]) {
    pieces_[piece]->entries[index % kBlocksPerPiece] = {};
  }
}

std::optional<BlockDigest> DiskDigest::find(uint64_t index) const {
  const std::lock_guard lock(mutex_);
  const size_t piece = index / kBlocksPerPiece;
  if (piece >= pieces_.size() || !pieces_[piece]) {
    return std::nullopt;
  }
  const Entry& entry = pieces_[piece]->entries[index % kBlocksPerPiece];
  return entry.known ? std::optional(BlockDigest{entry.length, entry.hash}) : std::nullopt;
}

std::vector<uint64_t> DiskDigest::take_changed_pieces() {
  const std::lock_guard lock(mutex_);
  std::vector<uint64_t> changed;
  for (size_t piece = 0; piece < pieces_.size(); ++piece) {
    if (pieces_[piece] && std::exchange(pieces_[piece]->changed, false)) {
      changed.push_back(piece);
    }
  }
  return changed;
}

std::optional<DiskDigest::Known> DiskDigest::next(uint64_t index) const {
  const std::lock_guard lock(mutex_);
  for (size_t piece = index / kBlocksPerPiece; piece < pieces_.size(); ++piece) {
    const size_t first = piece == index / kBlocksPerPiece ? index % kBlocksPerPiece : 0;
    for (size_t i = first; pieces_[piece] && i < kBlocksPerPiece; ++i) {
      const Entry& entry = pieces_[piece]->entries[i];
      if (entry.known) {
        return Known{piece * kBlocksPerPiece + i, {entry.length, entry.hash}};
      }
    }
  }
  return std::nullopt;
}

std::string DiskDigest::text() const {
  const std::lock_guard lock(mutex_);
  Xxh64 all;
  const auto add = [&all](uint64_t number) {
    std::array<std::byte, 8> bytes = {};
    put_little_endian<8>(bytes, 0, number);
    all.add(bytes);
  };
  add(size_);
  for (size_t i = 0; i < pieces_.size(); ++i) {
    if (pieces_[i] && !pieces_[i]->is_zero()) {
      add(i);
      add(pieces_[i]->hash());
    }
  }
  return fmt::format("{}{:016x}", kPrefix, all.hash());
}

bool is_digest(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return text.starts_with(kPrefix) && text.size() == kPrefix.size() + 16 &&
         text.substr(kPrefix.size()).find_first_not_of(kDigits) == std::string_view::npos;
}

}  // namespace vmferry
