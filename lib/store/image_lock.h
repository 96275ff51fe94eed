// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "lib/store/unique_fd.h"

namespace vmferry {

/// Throws kConflict if some process has the file `path` open for writing: a guest, a loop device,
/// anything. The kernel grants a read lease only where nobody has (fcntl(2), F_SETLEASE); where it
/// cannot tell (another's file, a network file system, a block device) this passes. Call it before
/// opening the file for writing.
void refuse_open_for_writing(const std::string& path);

/// Locks the image `fd` (open for reading at least) as QEMU does (block/file-posix.c) for one who
/// changes how it is stored but not what it reads as: others may read it; none may write or resize
/// it, and none does. Throws kConflict if a QEMU process is in the way. The lock goes with the last
/// copy of `fd`. A file system without locks is no reason to fail.
void lock_image(int fd, const std::string& name);

/// Opens a file or block device that is to be changed in place, after both of these checks, and
/// locks it. Throws kConflict as they do, and for a device that is mounted or part of another.
UniqueFd open_to_change(const std::string& path);

}  // namespace vmferry
