// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace vmferry {

/// What a file or block device was like when it was opened, to find out whether it still is. A
/// plain value.
struct FileStamp {
  struct stat status;
  uint64_t size = 0;  ///< bytes, of a device as well
  /// Of a block device: sectors written and discarded since the machine started
  /// (Documentation/block/stat.rst of Linux). 0 for a file, which has times for that.
  uint64_t device_writes = 0;
};

/// Takes the stamp of an open file. What is still to be written of a device is flushed first, and a
/// file that was changed just now is waited for (20 ms), until its times can tell a later change
/// from that one. Throws Error about `name`.
FileStamp take_file_stamp(int fd, const std::string& name);

/// The stamp as words, for another process: see Source::stamp().
std::string text_of(const FileStamp& stamp);

/// Throws Error (kConflict) if the file is shorter now.
void check_not_cut(int fd, const std::string& path, const FileStamp& stamp);

/// Throws Error (kConflict) unless `path` still leads to the file `fd` with the size of the stamp.
/// One that had no name then is asked for its size only.
void check_same_file(int fd, const std::string& path, const FileStamp& stamp);

/// check_same_file(), and nothing wrote to it: neither are its times younger, nor does QEMU hold it
/// open for writing.
void check_file_unchanged(int fd, const std::string& path, const FileStamp& stamp);

}  // namespace vmferry
