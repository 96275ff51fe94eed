// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "lib/guestfs/appliance.h"
#include "vmferry/trim.h"

namespace vmferry {

/// How many bytes the disk of the appliance takes now; nothing if that cannot be told. Called when
/// everything was flushed.
using Meter = std::function<std::optional<uint64_t>()>;

/// Trims everything on the appliance's disk that can be trimmed, and `gaps` of it if everything is
/// wanted. One thread.
std::vector<TrimmedPart> trim_guest(Appliance& appliance, const std::vector<Extent>& gaps,
                                    const TrimOptions& options, const Meter& meter);

/// Runs `drop`, and says how much less is stored then.
std::optional<uint64_t> metered(Appliance& appliance, const Meter& meter,
                                const std::function<void()>& drop);

/// What lies between the partitions of the disk, in whole MiB. Not before the first one, where boot
/// loaders live; not the last MiB of the disk, where GPT keeps its copy and others keep their
/// notes; not inside an extended partition, whose chain of tables lies between the logical ones;
/// nothing where the table and the disk do not fit together.
std::vector<Extent> gaps_between_partitions(const Source& disk);

/// Drops `gaps`, and extents that belong to no logical volume.
std::vector<TrimmedPart> trim_unclaimed(Appliance& appliance, const std::vector<Extent>& gaps,
                                        const Meter& meter);

/// Why the file system must not be trimmed (it is dirty, hibernated, damaged); empty: it may be.
/// Nothing is written to it.
std::string reason_to_leave(Appliance& appliance, const std::string& device,
                            const std::string& type);

/// In quotes for the shell; throws for a name that no device has.
std::string quoted(const std::string& device);

}  // namespace vmferry
