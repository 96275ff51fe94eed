// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "lib/core/endian.h"
#include "vmferry/error.h"

namespace vmferry {

/// Big-endian integers and strings out of bytes that nobody vouches for: every access is checked,
/// and one that leaves the bytes throws Error kCorrupt naming `object`, `structure` and where in
/// the object the bytes are (`base`). A view: bytes and names must outlive it. Immutable, so any
/// thread may use it.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string_view object, std::string_view structure,
             uint64_t base = 0)
      : bytes_(bytes), object_(object), structure_(structure), base_(base) {}

  uint64_t size() const { return bytes_.size(); }
  uint8_t u8(uint64_t offset) const { return static_cast<uint8_t>(integer<1>(offset)); }
  uint16_t u16(uint64_t offset) const { return static_cast<uint16_t>(integer<2>(offset)); }
  uint32_t u32(uint64_t offset) const { return static_cast<uint32_t>(integer<4>(offset)); }
  uint64_t u64(uint64_t offset) const { return integer<8>(offset); }

  std::span<const std::byte> bytes(uint64_t offset, uint64_t length) const {
    if (offset > bytes_.size() || length > bytes_.size() - offset) {
      fail(offset, length);
    }
    return bytes_.subspan(offset, length);
  }

  std::string string(uint64_t offset, uint64_t length) const {
    const auto view = bytes(offset, length);
    return {reinterpret_cast<const char*>(view.data()), view.size()};
  }

  /// The bytes at `offset` say something that cannot be.
  [[noreturn]] void corrupt(uint64_t offset, std::string cause, std::string hint = {}) const {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = std::string(object_),
                 .action = std::string(structure_),
                 .offset = base_ + offset,
                 .cause = std::move(cause),
                 .hint = std::move(hint)});
  }

 private:
  template <unsigned kBytes>
  uint64_t integer(uint64_t offset) const {
    return big_endian(bytes(offset, kBytes));
  }

  [[noreturn]] void fail(uint64_t offset, uint64_t length) const {
    corrupt(offset, std::to_string(length) + " bytes are needed here, but it has only " +
                        std::to_string(bytes_.size()));
  }

  std::span<const std::byte> bytes_;
  std::string_view object_;
  std::string_view structure_;
  uint64_t base_;
};

}  // namespace vmferry
