// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vmferry {

/// How many of `by` it takes for all of `value`.
inline uint64_t divide_up(uint64_t value, uint64_t by) {
  return value / by + (value % by != 0 ? 1 : 0);
}

/// Bytes for a place in an image file.
struct FilePiece {
  uint64_t offset = 0;
  std::vector<std::byte> bytes;
};

/// Pieces of metadata that are ready to be written, in any order: no two overlap.
using FilePieces = std::vector<FilePiece>;

/// So many bytes of tables are worth a write of their own.
constexpr uint64_t kWorthOneWrite = uint64_t{1} << 20;

/// What is zero need not be written: a new file reads as zeros there.
enum class TableZeros {
  kByPage,   ///< pages of 4 KiB that are all zero are left out
  kByWord,   ///< all zero words are left out: another thread may have written others there
  kWithEnd,  ///< kByPage, but the last page is written: it gives the file its length
  kWritten,  ///< nothing is left out: something else may be there
};

/// Appends a table of big-endian numbers that lies at `offset` of the file.
/// Joins it to the last piece where it goes on with that.
void append_table(FilePieces& pieces, uint64_t offset, std::span<const uint64_t> words,
                  TableZeros zeros);
void append_table(FilePieces& pieces, uint64_t offset, std::span<const uint32_t> words,
                  TableZeros zeros);
void append_table(FilePieces& pieces, uint64_t offset, std::span<const uint16_t> words,
                  TableZeros zeros);

}  // namespace vmferry
