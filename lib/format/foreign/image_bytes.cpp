// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/foreign/image_bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/core/endian.h"
#include "lib/core/format_bytes.h"

namespace vmferry {
namespace {

constexpr uint64_t kEntriesAtOnce = 16384;

/// Without a sum that could be too large.
bool holds(const Source& file, uint64_t offset, uint64_t length) {
  return offset <= file.size() && length <= file.size() - offset;
}

}  // namespace

Error corrupt_image(const Source& file, uint64_t offset, std::string cause) {
  return Error({.kind = ErrorKind::kCorrupt,
                .object = file.name(),
                .action = "check it",
                .offset = offset,
                .cause = std::move(cause),
                .hint = "is it a whole copy? compare its length with that of the original"});
}

Error unsupported_image(const Source& file, std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kUnsupported,
                .object = file.name(),
                .action = "open",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

Error parent_missing(const Source& file, const char* what) {
  return unsupported_image(
      file, std::string("it is a ") + what + ", which has only what changed since another image",
      "merge it with the image below it where it comes from, or export the whole disk");
}

std::unique_ptr<QemuImage> as_qemu_reads(std::unique_ptr<Source> file, const char* driver,
                                         uint64_t size, std::string hint) {
  auto image = std::make_unique<QemuImage>();
  image->driver = driver;
  image->file = std::move(file);
  image->size = size;
  image->hint = std::move(hint);
  return image;
}

std::string_view text_at(std::span<const std::byte> bytes, size_t offset, size_t length) {
  return {reinterpret_cast<const char*>(bytes.data()) + offset, length};
}

std::vector<std::byte> image_bytes(const Source& file, uint64_t offset, size_t length,
                                   const char* what) {
  if (!holds(file, offset, length)) {
    throw corrupt_image(file, offset,
                        fmt::format("here should be its {} of {}, but the file has {}", what,
                                    exact_bytes(length), exact_bytes(file.size())));
  }
  std::vector<std::byte> bytes(length);
  file.read_at(offset, bytes);
  return bytes;
}

TableWalker::TableWalker(const Source& file, uint64_t most)
    : file_(file), most_(most), left_(std::min(file.size(), most)) {}

void TableWalker::walk(const ImageTable& table,
                       const std::function<void(uint64_t index, uint64_t entry)>& visit) {
  const unsigned size = table.entry_bytes;
  if (table.entries > UINT64_MAX / size || !holds(file_, table.offset, table.entries * size)) {
    throw corrupt_image(file_, table.offset,
                        fmt::format("here should be its {} with {} entries, but the file has {}",
                                    table.what, table.entries, exact_bytes(file_.size())));
  }
  if (table.entries * size > left_ && file_.size() > most_) {
    throw unsupported_image(file_, fmt::format("it has more than {} of tables", exact_bytes(most_)),
                            "if you trust where it comes from, convert it first: qemu-img convert "
                            "-p -O qcow2 FILE FILE.qcow2");
  }
  if (table.entries * size > left_) {
    throw corrupt_image(file_, table.offset, "its tables lie over one another");
  }
  left_ -= table.entries * size;
  for (uint64_t index = 0; index < table.entries;) {
    const uint64_t entries = std::min(kEntriesAtOnce, table.entries - index);
    const auto bytes = image_bytes(file_, table.offset + index * size, entries * size, table.what);
    for (size_t at = 0; at < bytes.size(); at += size, ++index) {
      visit(index, size == 8 ? le64(bytes, at) : le32(bytes, at));
    }
  }
}

void check_place(const Source& file, uint64_t guest_offset, uint64_t place, uint64_t length) {
  if (!holds(file, place, length)) {
    throw corrupt_image(
        file, place,
        fmt::format("here should be the guest's data at {} ({}), but the file has {}",
                    exact_bytes(guest_offset), exact_bytes(length), exact_bytes(file.size())));
  }
}

}  // namespace vmferry
