// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "vmferry/api.h"
#include "vmferry/history.h"

namespace VMFERRY_API vmferry {

/// Some of the bytes of a disk, as Changes that may differ just there. Its memory is bounded: where
/// there are too many ranges, those next to each other become one, with what is between them. One
/// thread changes it, or any number read it.
class ByteRanges final : public Changes {
 public:
  /// `most` ranges are kept at most.
  explicit ByteRanges(size_t most = size_t{1} << 17) : most_(most) {}

  /// Bytes.
  void add(uint64_t offset, uint64_t length);
  void add(const ByteRanges& others);
  bool empty() const { return ends_.empty(); }
  /// In all ranges.
  uint64_t bytes() const;
  size_t count() const { return ends_.size(); }

  Run run_at(uint64_t offset, uint64_t max) const override;

 private:
  void make_coarser();

  size_t most_;
  uint64_t gap_ = 0;                   ///< ranges that are no farther apart are one
  std::map<uint64_t, uint64_t> ends_;  ///< by where a range begins
};

}  // namespace VMFERRY_API vmferry
