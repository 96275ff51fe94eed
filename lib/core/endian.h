// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

// Integers in the bytes of images and stores: the only place that knows in which order they are.

namespace vmferry {

/// An integer of `kBytes` bytes at `offset`; 0 if it is not wholly inside `bytes`. Tables of
/// partitions, the file systems of DOS and Windows, and what Ceph encodes are little endian.
template <unsigned kBytes>
uint64_t little_endian(std::span<const std::byte> bytes, size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < kBytes) {
    return 0;
  }
  uint64_t value = 0;
  for (unsigned i = kBytes; i-- > 0;) {
    value = value << 8 | std::to_integer<uint64_t>(bytes[offset + i]);
  }
  return value;
}

inline uint8_t le8(std::span<const std::byte> b, size_t at) {
  return static_cast<uint8_t>(little_endian<1>(b, at));
}
inline uint16_t le16(std::span<const std::byte> b, size_t at) {
  return static_cast<uint16_t>(little_endian<2>(b, at));
}
inline uint32_t le32(std::span<const std::byte> b, size_t at) {
  return static_cast<uint32_t>(little_endian<4>(b, at));
}
inline uint64_t le64(std::span<const std::byte> b, size_t at) { return little_endian<8>(b, at); }

/// The same the other way round. REQUIRES: it fits.
template <unsigned kBytes>
void put_little_endian(std::span<std::byte> bytes, size_t offset, uint64_t value) {
  for (unsigned i = 0; i < kBytes; ++i) {
    bytes[offset + i] = static_cast<std::byte>(value >> (8 * i));
  }
}

/// All of `bytes` as one integer, as qcow2 and VHD have them. REQUIRES: 8 bytes at most.
inline uint64_t big_endian(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (const std::byte byte : bytes) {
    value = value << 8 | std::to_integer<uint64_t>(byte);
  }
  return value;
}

/// An integer at `at`; 0 if it is not wholly inside `b`.
inline uint32_t be32(std::span<const std::byte> b, size_t at) {
  const bool inside = at <= b.size() && b.size() - at >= 4;
  return inside ? static_cast<uint32_t>(big_endian(b.subspan(at, 4))) : 0;
}
inline uint64_t be64(std::span<const std::byte> b, size_t at) {
  return at <= b.size() && b.size() - at >= 8 ? big_endian(b.subspan(at, 8)) : 0;
}

/// big_endian() the other way round: fills `bytes`.
inline void put_big_endian(std::span<std::byte> bytes, uint64_t value) {
  for (size_t i = bytes.size(); i-- > 0; value >>= 8) {
    bytes[i] = static_cast<std::byte>(value);
  }
}

/// Turns words just read from a big-endian table into this machine's order, in place.
inline void from_big_endian(std::span<uint64_t> words) {
  if constexpr (std::endian::native == std::endian::little) {
    for (uint64_t& word : words) {
      word = __builtin_bswap64(word);
    }
  }
}

}  // namespace vmferry
