// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/file_pieces.h"

#include <algorithm>

#include "lib/format/qcow2/byte_writer.h"

namespace vmferry {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kLongestPiece = size_t{1} << 20;

/// `bytes` more for `offset`, to be filled.
std::span<std::byte> grow(FilePieces& pieces, uint64_t offset, size_t bytes) {
  const bool follows = !pieces.empty() &&
                       pieces.back().offset + pieces.back().bytes.size() == offset &&
                       pieces.back().bytes.size() + bytes <= kLongestPiece;
  if (!follows) {
    pieces.push_back({offset, {}});
  }
  std::vector<std::byte>& all = pieces.back().bytes;
  all.resize(all.size() + bytes);
  return std::span(all).last(bytes);
}

template <typename Word>
void append_words(FilePieces& pieces, uint64_t offset, std::span<const Word> words,
                  TableZeros zeros) {
  const size_t step = zeros == TableZeros::kByWord ? 1 : kPage / sizeof(Word);
  for (size_t at = 0; at < words.size(); at += step) {
    const auto part = words.subspan(at, std::min(step, words.size() - at));
    const bool is_end = zeros == TableZeros::kWithEnd && at + step >= words.size();
    const bool is_needed = is_end || zeros == TableZeros::kWritten;
    if (!is_needed && std::all_of(part.begin(), part.end(), [](Word word) { return word == 0; })) {
      continue;
    }
    ByteWriter out(grow(pieces, offset + at * sizeof(Word), part.size_bytes()));
    for (size_t i = 0; i < part.size(); ++i) {
      if constexpr (sizeof(Word) == 2) {
        out.u16(2 * i, part[i]);
      } else if constexpr (sizeof(Word) == 4) {
        out.u32(4 * i, part[i]);
      } else {
        out.u64(8 * i, part[i]);
      }
    }
  }
}

}  // namespace

void append_table(FilePieces& pieces, uint64_t offset, std::span<const uint64_t> words,
                  TableZeros zeros) {
  append_words(pieces, offset, words, zeros);
}

void append_table(FilePieces& pieces, uint64_t offset, std::span<const uint32_t> words,
                  TableZeros zeros) {
  append_words(pieces, offset, words, zeros);
}

void append_table(FilePieces& pieces, uint64_t offset, std::span<const uint16_t> words,
                  TableZeros zeros) {
  append_words(pieces, offset, words, zeros);
}

}  // namespace vmferry
