// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "vmferry/source.h"

namespace vmferry {

/// A sparse file in memory that stands for a part of a disk, for a library that wants a file
/// descriptor. Takes as much memory as was filled with data. One thread.
class ScratchFile {
 public:
  /// All zeros. `name` is for messages. Throws Error.
  ScratchFile(uint64_t length, const std::string& name);
  ScratchFile(ScratchFile&& other) noexcept;
  ScratchFile& operator=(ScratchFile&&) = delete;
  ~ScratchFile();

  int fd() const { return fd_; }
  /// Copies [offset, offset + length) of the part of `disk` that begins at `base`; leaves zeros
  /// out. REQUIRES: inside both.
  void fill(const Source& disk, uint64_t base, uint64_t offset, uint64_t length);
  /// What is there, shorter at the end of the file.
  std::vector<std::byte> read(uint64_t offset, size_t length) const;

 private:
  int fd_ = -1;
  std::string name_;
};

}  // namespace vmferry
