// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "vmferry/target.h"

namespace vmferry {

/// What `path` leads to through symbolic links; it need not exist. A link stays a link: what it
/// points to is made or replaced. Throws Error where the kernel does not follow them.
std::string follow_links(const std::string& path);

/// check_target_options() for a path.
void check_path_target(const std::string& path, const TargetOptions& options);

/// open_target() for a path: a new file, or the block device that it leads to. Links are followed.
std::unique_ptr<Target> open_path_target(const std::string& path, const TargetOptions& options);

/// A new sparse file of options.size bytes. It grows under ".NAME.vmferry-partial" beside `path`,
/// which is locked meanwhile (flock): a left-over of a killed run is replaced, one in use refused.
std::unique_ptr<Target> make_sparse_file(const std::string& path, const TargetOptions& options);

/// The block device `path`, as it is: needs options.force, options.size bytes of room, and nobody
/// else (a mount, a RAID) who uses it. QEMU is kept out until the target is gone. publish() only
/// checks that flush() was reached and that no QEMU has it open.
std::unique_ptr<Target> open_device_target(const std::string& path, const TargetOptions& options);

}  // namespace vmferry
