// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string_view>

#include "lib/core/endian.h"

namespace vmferry {

/// Big-endian integers and text into bytes: the counterpart of ByteReader. What does not fit throws
/// std::out_of_range. A view: the bytes must outlive it. One thread.
class ByteWriter {
 public:
  explicit ByteWriter(std::span<std::byte> out) : out_(out) {}

  void u8(uint64_t at, uint64_t value) { number(at, value, 1); }
  void u16(uint64_t at, uint64_t value) { number(at, value, 2); }
  void u32(uint64_t at, uint64_t value) { number(at, value, 4); }
  void u64(uint64_t at, uint64_t value) { number(at, value, 8); }
  void text(uint64_t at, std::string_view value) {
    const auto bytes = std::as_bytes(std::span(value));
    std::copy(bytes.begin(), bytes.end(), part(at, bytes.size()).begin());
  }

 private:
  std::span<std::byte> part(uint64_t at, uint64_t bytes) const {
    if (at > out_.size() || bytes > out_.size() - at) {
      throw std::out_of_range("written past the end of a table");
    }
    return out_.subspan(at, bytes);
  }
  void number(uint64_t at, uint64_t value, unsigned bytes) {
    put_big_endian(part(at, bytes), value);
  }

  std::span<std::byte> out_;
};

}  // namespace vmferry
