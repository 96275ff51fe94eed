// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/format/qcow2/file_pieces.h"
#include "vmferry/error.h"
#include "vmferry/sink.h"

namespace vmferry {

/// The file of an image that is being made, as who makes its tables sees it: a sink, whose bytes
/// can be read again. One thread at a time, but for write().
class Qcow2NewFile {
 public:
  explicit Qcow2NewFile(Sink& bytes) : bytes_(bytes) {}

  const std::string& name() const { return bytes_.name(); }
  void write(FilePieces pieces);
  /// What was written before this call. Makes it durable; lives without this.
  std::unique_ptr<Source> written();

 private:
  Sink& bytes_;
};

/// A table of numbers that was written. Throws Error kIo where `file` is too short for it.
std::vector<uint64_t> read_table(const Source& file, uint64_t offset, uint64_t entries);

/// What a table says makes no sense, though it was written here.
Error damaged_table(const std::string& name, uint64_t offset);

}  // namespace vmferry
