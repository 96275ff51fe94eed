// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "vmferry/domain.h"

namespace vmferry {

/// Throws Error kUsage if the options make no sense whatever the disk.
void check_driver(const DriverOptions& driver);

/// The format of its image, as libvirt calls it: a volume is raw.
std::string image_format(const DiskTarget& target);

/// Is the disk there already?
bool is_on(const DomainDisk& disk, const DiskTarget& target);

/// Is the path one of a device?
bool is_device_path(const std::string& path);

}  // namespace vmferry
