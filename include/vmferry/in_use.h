// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <stop_token>
#include <string>

#include "vmferry/api.h"
#include "vmferry/domain.h"
#include "vmferry/host.h"
#include "vmferry/location.h"

// Who uses an image, as libvirt knows it: not every guest holds a lock.

namespace VMFERRY_API vmferry {

/// The path of an image on the host; empty: it is no file and no device. Throws what libvirt says
/// of a storage pool, and kUnsupported for a volume of a pool that has no paths.
std::string path_of(Host& host, const DiskImage& image);

/// The domain that runs or is paused and has the file or block device among its images, also if it
/// only reads it; empty: none. `path` is looked at on this machine. Throws Error.
std::string running_user(Host& host, const std::string& path);

/// Throws kConflict if there is such a domain. `uri` names the libvirt to ask, and then it must
/// answer within 10 s (kIo). Empty: the one of this machine, if there is one and it answers within
/// 3 s. Of what is no file or device of this machine nobody is asked: whoever uses a volume is
/// known to its cluster. Throws kCancelled when stopped.
void refuse_running_guest(const Location& image, const std::string& uri, std::stop_token stop);

}  // namespace VMFERRY_API vmferry
