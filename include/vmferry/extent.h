// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>

#include "vmferry/api.h"

namespace VMFERRY_API vmferry {

/// What a guest reads from a range. kZero means "reads as zero", whether the store keeps a hole,
/// a zero flag or nothing at all there; it says nothing about allocation.
enum class ExtentKind { kData, kZero };

/// A run of bytes of one kind. Offset and length are bytes; length is never 0 in an answer.
struct Extent {
  uint64_t offset = 0;
  uint64_t length = 0;
  ExtentKind kind = ExtentKind::kData;

  uint64_t end() const { return offset + length; }
  bool is_zero() const { return kind == ExtentKind::kZero; }
  bool operator==(const Extent&) const = default;
};

}  // namespace VMFERRY_API vmferry
