// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "vmferry/api.h"
#include "vmferry/history.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

/// What an image keeps for a run of guest bytes.
enum class MappedKind {
  kData,          ///< plain bytes in a file
  kCompressed,    ///< packed bytes in a file
  kPreallocated,  ///< a place in a file, which is a hole there: zeros
  kZero,          ///< a note that here are zeros
  kHole,          ///< nothing: zeros
};

/// A run of guest bytes and what holds it. The words are those of `qemu-img map`.
struct MappedExtent {
  uint64_t offset = 0;  ///< of the guest disk (bytes)
  uint64_t length = 0;  ///< bytes, never 0 in an answer
  MappedKind kind = MappedKind::kHole;
  /// An image of the chain says itself what is here. False: the whole chain is silent, hence zeros.
  /// A raw image always says; its holes, too.
  bool is_present = false;
  unsigned depth = 0;  ///< which image of the chain decided: 0 is the top, 1 its backing image ...
  /// Where the bytes are in `file`, in one piece. Nothing: nowhere, or not as the guest sees them
  /// (packed, encrypted).
  std::optional<uint64_t> host_offset = std::nullopt;
  std::string_view file = {};  ///< lives as long as the source

  uint64_t end() const { return offset + length; }
  /// Takes up bytes of a file. QEMU's "data".
  bool is_data() const { return kind <= MappedKind::kPreallocated; }
  /// Is known to read as zeros. QEMU's "zero".
  bool is_zero() const { return kind >= MappedKind::kPreallocated; }
  bool operator==(const MappedExtent&) const = default;
};

using MapVisitor = std::function<void(const MappedExtent&)>;

/// What a Source may implement besides, if it knows where its bytes come from. Any thread.
class Layout {
 public:
  virtual ~Layout() = default;

  /// Calls `visit` for the runs that cover [offset, offset + length), in order; two neighbours may
  /// be alike. What `visit` throws ends the walk. Reads no guest data.
  /// REQUIRES: offset + length <= size().
  virtual void map(uint64_t offset, uint64_t length, const MapVisitor& visit) const = 0;

  /// Bytes that the store has allocated for the file, device or volume with all that is in it.
  /// Nothing: it cannot tell.
  virtual std::optional<uint64_t> allocated_bytes() const { return std::nullopt; }
};

/// The map of a whole disk, with runs as long as they go: alike, and contiguous in the same file.
/// A source without a Layout is shown as its extents. Any thread.
void map_source(const Source& source, const MapVisitor& visit);
/// The same for a range, runs as they come.
void map_range(const Source& source, uint64_t offset, uint64_t length, const MapVisitor& visit);

/// `source`, as if it lay over the state that `changes` are since: what is the same is not present.
/// Only to be looked at: what is the same says that it is zero. `source` must outlive it.
std::unique_ptr<Source> changed_since(const Source& source, std::unique_ptr<Changes> changes);

}  // namespace VMFERRY_API vmferry
