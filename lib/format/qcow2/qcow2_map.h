// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>

#include "lib/format/qcow2/qcow2_table_cache.h"
#include "lib/format/qcow2/qcow2_tables.h"
#include "vmferry/source.h"

namespace vmferry {

/// What holds every guest byte of an image, by its L1 and L2 tables, which are read as
/// needed. Where there is no backing image, or it has ended, what is not allocated is kZero.
/// Immutable but for the cache: any number of threads may walk it.
class Qcow2Map {
 public:
  /// `file` must outlive the map; L1 entries that are missing at the end of their table map
  /// nothing; `backing_size` is 0 without a backing image. REQUIRES: the L1 table is inside the
  /// file.
  Qcow2Map(const Source& file, const Qcow2Geometry& geometry, uint64_t backing_size,
           std::shared_ptr<Qcow2TableCache> cache);

  const Qcow2Geometry& geometry() const { return geometry_; }

  /// What a walk is after.
  enum class View {
    kGuest,  ///< what is read: where no backing image shows through, nothing is kZero
    kLayer,  ///< what this image says: nothing is kUnallocated, and the places that are kept in the
             ///< file without being used (host_offset, 0 for none) are told apart
  };

  /// Looks runs up. Remembers the tables it is in, so make one per request and go forward.
  /// Not for several threads at once.
  class Walker {
   public:
    explicit Walker(const Qcow2Map& map, View view = View::kGuest) : map_(map), view_(view) {}

    /// The run that starts at `offset`, as long as it goes but at most `max`: of one kind,
    /// contiguous in the file (kData), inside one cluster (kCompressed), inside the backing image
    /// (kUnallocated). Throws Error kCorrupt where an entry must not be followed.
    /// REQUIRES: max > 0 and offset + max <= the virtual size.
    Mapping next(uint64_t offset, uint64_t max);

    /// How many bytes from `offset` on, `max` at most, this map and that of `other` (of the same
    /// file) look up in the very same L2 tables, or in none.
    uint64_t same_tables(Walker& other, uint64_t offset, uint64_t max);

   private:
    Mapping next_in_table(uint64_t offset, uint64_t max);
    Mapping unmapped(uint64_t offset, uint64_t max);
    uint64_t table_for(uint64_t offset);
    Mapping entry_at(uint64_t offset) const;
    MapKind kind_of_nothing(uint64_t guest_offset) const;
    bool continues(const Mapping& run, const Mapping& next) const;
    // `max`, cut where the backing image ends.
    uint64_t within_backing(uint64_t offset, uint64_t max) const;

    const Qcow2Map& map_;
    const View view_;
    uint64_t l1_page_ = UINT64_MAX;
    std::shared_ptr<const Qcow2Table> l1_;
    uint64_t table_offset_ = 0;
    std::shared_ptr<const Qcow2Table> table_;
  };

 private:
  [[noreturn]] void fail(const char* structure, uint64_t guest_offset, Qcow2Fault fault) const;

  const Source& file_;
  const Qcow2Geometry geometry_;
  const uint64_t backing_size_;
  const std::shared_ptr<Qcow2TableCache> cache_;
  const uint64_t l1_user_;
  const uint64_t l2_user_;
};

}  // namespace vmferry
