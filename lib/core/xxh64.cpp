// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/xxh64.h"

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace vmferry {
namespace {

XXH64_state_t* state_in(std::array<std::byte, 88>& bytes) {
  static_assert(sizeof(XXH64_state_t) == sizeof bytes);
  return reinterpret_cast<XXH64_state_t*>(bytes.data());
}

}  // namespace

Xxh64::Xxh64() { XXH64_reset(state_in(state_), 0); }

void Xxh64::add(std::span<const std::byte> bytes) {
  XXH64_update(state_in(state_), bytes.data(), bytes.size());
}

void Xxh64::add_zeros(uint64_t count) {
  static constexpr std::array<std::byte, 64 << 10> kZeros = {};
  while (count > 0) {
    const uint64_t step = std::min<uint64_t>(count, kZeros.size());
    XXH64_update(state_in(state_), kZeros.data(), step);
    count -= step;
  }
}

uint64_t Xxh64::hash() const {
  auto copy = state_;
  return XXH64_digest(state_in(copy));
}

uint64_t xxh64(std::span<const std::byte> bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

}  // namespace vmferry
