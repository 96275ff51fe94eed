// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vmferry::test {

/// An integer of `length` bytes, as qcow2 has them. Throws std::out_of_range.
inline void put_big_endian(std::vector<std::byte>& bytes, size_t at, uint64_t value,
                           size_t length = 8) {
  for (size_t i = 0; i < length; ++i) {
    bytes.at(at + i) = std::byte(value >> 8 * (length - 1 - i) & 0xff);
  }
}

/// Of 8 bytes; the same.
inline uint64_t get_big_endian(const std::vector<std::byte>& bytes, size_t at) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) {
    value = value << 8 | std::to_integer<uint64_t>(bytes.at(at + i));
  }
  return value;
}

}  // namespace vmferry::test
