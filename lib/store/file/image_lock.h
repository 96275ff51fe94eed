// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/stat.h>

#include <string>

#include "lib/core/unique_fd.h"

// Who else has an image open, and keeping others out. A question that the file system cannot answer
// is not answered with "nobody": it is an Error (kConflict) that names --assume-unused, unless the
// caller passes `assume_unused`. Any thread.

namespace vmferry {

/// Throws kConflict if some process has the file `fd` (open for reading only) open for writing: a
/// guest, a loop device, anything. The kernel grants a read lease only where nobody has (fcntl(2),
/// F_SETLEASE). It grants none to who does not own the file, and none on most network file systems.
/// A block device has no leases: QEMU's locks tell there.
void refuse_open_for_writing(int fd, const std::string& name, bool assume_unused);
/// The same for a path. Call it before opening the file for writing.
void refuse_open_for_writing(const std::string& path, bool assume_unused);

/// Locks the image `fd` (open for reading at least) as QEMU does (block/file-posix.c) for one who
/// changes how it is stored but not what it reads as: others may read it; none may write or resize
/// it, and none does. Throws kConflict if a QEMU process is in the way. The lock goes with the last
/// copy of `fd`.
void lock_image(int fd, const std::string& name, bool assume_unused);

/// Locks the image `fd` (open for reading at least) for one who overwrites or replaces it: no QEMU
/// process has it open, and none can open it until the last copy of `fd` is closed. Throws
/// kConflict if one has it.
void lock_image_alone(int fd, const std::string& name, bool assume_unused);

/// Throws kConflict if anybody else has the file `fd` (open for reading only) open, for reading or
/// for writing. The kernel grants a write lease only where nobody has (fcntl(2), F_SETLEASE). Who
/// opens it later waits until the last copy of `fd` is closed.
void refuse_open(int fd, const std::string& name);

/// Throws kConflict if a QEMU process has `fd` open in spite of our lock.
void refuse_used_by_qemu(int fd, const std::string& name, bool assume_unused);

/// Opens a file or block device that is to be changed in place, after the checks above, and locks
/// it. Throws kConflict as they do, and for a device that is mounted or part of another.
UniqueFd open_to_change(const std::string& path, bool assume_unused);

/// Opens a block device for writing where nobody else holds it (O_EXCL: not while it is mounted or
/// part of something else; open(2)). Throws Error.
UniqueFd open_device_alone(const std::string& path);

}  // namespace vmferry
