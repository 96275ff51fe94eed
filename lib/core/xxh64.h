// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace vmferry {

/// XXH64 with seed 0 (xxhash.com), of bytes that come in pieces. A plain value.
class Xxh64 {
 public:
  Xxh64();
  void add(std::span<const std::byte> bytes);
  void add_zeros(uint64_t count);
  uint64_t hash() const;

 private:
  // An XXH64_state_t, of which only xxh64.cpp knows.
  alignas(8) std::array<std::byte, 88> state_;
};

uint64_t xxh64(std::span<const std::byte> bytes);

}  // namespace vmferry
