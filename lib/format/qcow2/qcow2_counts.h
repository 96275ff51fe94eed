// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "lib/format/qcow2/qcow2_new_file.h"
#include "lib/format/qcow2/qcow2_space.h"

namespace vmferry {

/// How often each cluster of an image file is used, in 32 bits: 32768 streams may share a cluster
/// (see Qcow2Space), and 65537 states a stream. Counts lie in the file, and 32 MiB of them in
/// memory. One thread.
class Qcow2Counts {
 public:
  static constexpr uint64_t kBudget = uint64_t{32} << 20;  ///< bytes

  Qcow2Counts(uint32_t cluster_bits, Qcow2NewFile& file, Qcow2Space::Blocks blocks,
              uint64_t budget = kBudget);

  /// All clusters in which some of these bytes are: used so many times more. Throws Error kIo where
  /// the file has no such place.
  void add(uint64_t offset, uint64_t bytes, uint64_t times);
  /// Writes what is left, and the refcount table. Returns where that is.
  Qcow2Space::Table finish();

 private:
  using Counts = std::vector<uint32_t>;

  Counts& block(uint64_t index);
  Counts load(uint64_t index);
  void write_out();

  const uint64_t cluster_;
  const uint64_t per_block_;
  const uint64_t most_blocks_;
  Qcow2NewFile& file_;
  const Qcow2Space::Blocks places_;
  std::map<uint64_t, Counts> blocks_;
  std::set<uint64_t> in_file_;
  std::unique_ptr<Source> written_;
};

}  // namespace vmferry
