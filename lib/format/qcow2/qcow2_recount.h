// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/qcow2_new_file.h"
#include "lib/format/qcow2/qcow2_space.h"

namespace vmferry {

/// The L1 table of a state of the disk.
struct Qcow2L1Place {
  uint64_t offset = 0;
  uint64_t entries = 0;
};

/// What is counted of an image with several states.
struct Qcow2Uses {
  uint32_t cluster_bits = 0;
  /// The oldest state first, the disk as it is now last. A table that a state has, and the next one
  /// has not, is in none of those that follow.
  std::vector<Qcow2L1Place> states;
  /// Where the space begins that was given out since the last but one: who uses it uses it alone.
  uint64_t newest_begins = 0;
  std::vector<Qcow2Place> others;  ///< of the file: what else it is made of
};

/// Counts how often each cluster is used, writes the refcounts, and the marks of the disk as it is
/// now ("copied": used once). As QEMU has it, a state uses all that its tables name, be they
/// shared or not: each L2 table is read once, when the last state that has it is known. Memory:
/// three L1 tables, and that of Qcow2Counts. Returns where the refcount table is.
Qcow2Space::Table recount(const Qcow2Uses& uses, Qcow2Space& space, Qcow2NewFile& file);

}  // namespace vmferry
