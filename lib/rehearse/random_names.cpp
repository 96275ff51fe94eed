// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/rehearse/random_names.h"

#include <fmt/format.h>

#include <cstdint>
#include <random>

namespace vmferry::rehearsal {

std::string random_uuid() {
  std::random_device random;
  const uint32_t version = (random() & 0x0fffu) | 0x4000u;
  const uint32_t variant = (random() & 0x3fffu) | 0x8000u;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:08x}{:04x}", random(), random() & 0xffffu,
                     version, variant, random(), random() & 0xffffu);
}

std::string random_mac() {
  std::random_device random;
  const uint32_t number = random();
  return fmt::format("52:54:00:{:02x}:{:02x}:{:02x}", number >> 16 & 0xffu, number >> 8 & 0xffu,
                     number & 0xffu);
}

}  // namespace vmferry::rehearsal
