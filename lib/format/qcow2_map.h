// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/format/qcow2_l2_cache.h"
#include "lib/format/qcow2_tables.h"
#include "vmferry/source.h"

namespace vmferry {

/// What stands behind every guest byte of an image: its L1 table, and the L2 tables as needed.
/// Where there is no backing image, or it has ended, what is not allocated is kZero.
/// Immutable but for the cache inside: any number of threads may walk it.
class Qcow2Map {
 public:
  /// Where the L1 table is; entries that are missing at its end map nothing.
  struct L1Table {
    uint64_t offset = 0;
    uint64_t entries = 0;
  };

  /// Reads the L1 table. `file` must outlive the map; `backing_size` is 0 without a backing image.
  /// REQUIRES: the table is inside the file.
  Qcow2Map(const Source& file, const Qcow2Geometry& geometry, const L1Table& l1,
           uint64_t backing_size);

  const Qcow2Geometry& geometry() const { return geometry_; }

  /// Looks runs up. Remembers the L2 table it is in, so make one per request and go forward.
  /// Not for several threads at once.
  class Walker {
   public:
    explicit Walker(const Qcow2Map& map) : map_(map) {}

    /// The run that starts at `offset`, as long as it goes but at most `max`: of one kind,
    /// contiguous in the file (kData), inside one cluster (kCompressed), inside the backing image
    /// (kUnallocated). Throws Error kCorrupt where an entry must not be followed.
    /// REQUIRES: max > 0 and offset + max <= the virtual size.
    Mapping next(uint64_t offset, uint64_t max);

   private:
    Mapping next_in_table(uint64_t offset, uint64_t max);
    Mapping unmapped(uint64_t offset, uint64_t max) const;
    Qcow2L2Entry entry_at(uint64_t offset) const;

    const Qcow2Map& map_;
    uint64_t table_offset_ = 0;
    std::shared_ptr<const Qcow2L2Table> table_;
  };

 private:
  uint64_t table_for(uint64_t guest_offset) const;
  MapKind kind_of_nothing(uint64_t guest_offset) const;
  [[noreturn]] void fail(const char* structure, uint64_t guest_offset, Qcow2Fault fault) const;

  const Source& file_;
  const Qcow2Geometry geometry_;
  const uint64_t backing_size_;
  std::vector<uint64_t> l1_;
  mutable Qcow2L2Cache l2_cache_;
};

}  // namespace vmferry
