// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_new_file.h"

#include <span>
#include <stdexcept>
#include <utility>

#include "lib/core/endian.h"

namespace vmferry {

void Qcow2NewFile::write(FilePieces pieces) {
  for (FilePiece& piece : pieces) {
    const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(piece.bytes));
    bytes_.write_at(piece.offset, Slice({owner, owner->data()}, *owner));
  }
}

std::unique_ptr<Source> Qcow2NewFile::written() {
  bytes_.flush();
  std::unique_ptr<Source> file = bytes_.read_back();
  if (!file) {
    throw std::logic_error("an image is made in what cannot be read back");
  }
  return file;
}

std::vector<uint64_t> read_table(const Source& file, uint64_t offset, uint64_t entries) {
  const uint64_t bytes = entries * sizeof(uint64_t);
  if (offset > file.size() || bytes > file.size() - offset) {
    throw damaged_table(file.name(), offset);
  }
  std::vector<uint64_t> table(entries);
  file.read_at(offset, std::as_writable_bytes(std::span(table)));
  from_big_endian(table);
  return table;
}

Error damaged_table(const std::string& name, uint64_t offset) {
  return Error({.kind = ErrorKind::kIo,
                .object = name,
                .action = "read its tables back",
                .offset = offset,
                .cause = "they are not as they were written",
                .hint = "suspect the target's storage"});
}

}  // namespace vmferry
