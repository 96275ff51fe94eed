// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

namespace vmferry::migrate {

/// Left free where overlays grow, whatever the user allowed: the host lives there, too.
inline constexpr uint64_t kOverlayReserve = 256 << 20;

/// What an overlay may take of so many bytes that are free.
constexpr uint64_t room_for_overlay(uint64_t free) {
  return free - std::min(free, kOverlayReserve);
}

/// "99.7 MiB free in /img, of which 256.0 MiB are kept for the host".
std::string with_reserve(uint64_t free, const std::string& directory);

}  // namespace vmferry::migrate
