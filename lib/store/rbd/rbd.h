// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <memory>
#include <string>

#include "lib/store/store.h"

// No type of librbd here: a build without it has the same functions, which say so.

namespace vmferry {

/// Opens a volume or snapshot read-only. The source is a Layout and DescribedBytes as well. A
/// snapshot is never being written.
OpenBytes open_rbd_source(const RbdLocation& location, const CephOptions& options);

/// A new volume of options.size bytes. It grows under IMAGE.vmferry-partial; a left-over of a
/// killed run is replaced, one in use refused. publish() renames it; with options.force the old
/// volume makes room first and is removed last.
std::unique_ptr<Target> open_rbd_target(const RbdLocation& location, const TargetOptions& options);

/// unfinished_notes() of a volume.
std::map<std::string, std::string> rbd_notes(const RbdLocation& volume, const CephOptions& options);

/// Store::kept_digest and keep_digest(), in metadata of the volume. A snapshot that was made anew
/// under the same name has none.
std::string rbd_kept_digest(const RbdLocation& snapshot, const CephOptions& options);
void rbd_keep_digest(const RbdLocation& snapshot, const CephOptions& options,
                     const std::string& digest);

/// sparsify_in_place() for a volume, which nobody else may have open.
SpaceUse sparsify_volume(const RbdLocation& location, const InPlaceOptions& options,
                         Progress& progress);

/// What the objects of the volume or snapshot take: bytes, as 'rbd du' counts.
std::optional<uint64_t> volume_bytes(const RbdLocation& location, const CephOptions& ceph);

}  // namespace vmferry
