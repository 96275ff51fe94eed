// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "vmferry/location.h"

namespace vmferry {

/// Reads all of `out` from `offset` of `fd`, or throws an Error about `name`. The file ending early
/// is one.
void pread_all(int fd, uint64_t offset, std::span<std::byte> out, const std::string& name);
/// Writes all of `data`, or throws.
void pwrite_all(int fd, uint64_t offset, std::span<const std::byte> data, const std::string& name);
/// The same with zeros.
void pwrite_zeros(int fd, uint64_t offset, uint64_t length, const std::string& name);
/// fsync; throws.
void sync_fd(int fd, const std::string& name);
/// Makes durable that `path` has come or gone; throws.
void sync_directory_of(const std::string& path);

struct stat stat_fd(int fd, const std::string& name);
/// Bytes that the file system has set aside for a file, whether they were written or not, also for
/// its own tables: st_blocks counts in 512 bytes, whatever the file system's block is (stat(2)).
/// What was written a moment ago may not count yet; what it shares with others does. 0 for a block
/// device, whose bytes are all taken.
uint64_t bytes_taken(const struct stat& status);
/// Throws unless it is a regular file or a block device; the error says what it is instead.
void require_disk(const struct stat& status, const std::string& name);
/// Size in bytes of the regular file or block device.
uint64_t size_of(int fd, const struct stat& status, const std::string& name);
/// How long a file this process may make (RLIMIT_FSIZE), in bytes.
uint64_t file_size_limit();
Identity identity_of(const struct stat& status);

/// Does another process write to the file, as far as QEMU's byte locks tell?
/// QEMU (block/file-posix.c) holds a shared lock on byte 100 + n for each permission n that it
/// uses; bit 1 is "write", bit 3 "resize".
bool qemu_writes_to(int fd);

/// The file behind a loop device, or behind the device of which this is a partition. Nothing: it is
/// none, or its file cannot be reached by name.
std::optional<Identity> loop_file_of(const Identity& device);

}  // namespace vmferry
