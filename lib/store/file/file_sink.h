// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "vmferry/sink.h"
#include "vmferry/target.h"

namespace vmferry {

/// A new sparse file of options.size bytes. It grows under ".NAME.vmferry-partial" beside `path`,
/// which is locked meanwhile (flock): a left-over of a killed run is replaced, one in use refused.
std::unique_ptr<Sink> open_file_sink(const std::string& path, const TargetOptions& options);

/// The block device `path`, as it is: needs options.force, options.size bytes of room, and nobody
/// else (a mount, a RAID) who uses it. QEMU is kept out until the sink is gone. publish() only
/// checks that flush() was reached and that no QEMU has it open.
std::unique_ptr<Sink> open_device_sink(const std::string& path, const TargetOptions& options);

}  // namespace vmferry
