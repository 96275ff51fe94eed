// SPDX-License-Identifier: LGPL-2.1-or-later
// Whole images: what is read is read twice, in different pieces, and has to be the same.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/sector_cipher.h"
#include "tests/fuzz/bytes_source.h"
#include "vmferry/error.h"

using namespace vmferry;

namespace {

constexpr uint64_t kMostRead = 256 << 10;
constexpr int kMostExtents = 64;

using Bytes = std::vector<std::byte>;

Bytes read(const Source& disk, uint64_t offset, uint64_t length, uint64_t piece) {
  Bytes out(length, std::byte{0xcc});
  for (uint64_t at = 0; at < length; at += piece) {
    disk.read_at(offset + at, std::span(out).subspan(at, std::min(piece, length - at)));
  }
  return out;
}

void check_extents(const Source& disk, uint64_t offset) {
  for (int i = 0; i < kMostExtents && offset < disk.size(); ++i) {
    const Extent extent = disk.extent_at(offset, disk.size() - offset);
    if (extent.offset != offset || extent.length == 0) {
      std::abort();
    }
    if (extent.length > disk.size() - offset) {
      std::abort();
    }
    if (extent.is_zero()) {
      const Bytes zeros = read(disk, offset, std::min(extent.length, kMostRead), kMostRead);
      if (std::any_of(zeros.begin(), zeros.end(), [](std::byte b) { return b != std::byte{0}; })) {
        std::abort();
      }
    }
    offset = extent.end();
  }
}

void check_disk(const Source& disk) {
  for (const uint64_t offset : {uint64_t{0}, disk.size() / 2, disk.size() - disk.size() % 4096}) {
    try {
      const uint64_t length = std::min(kMostRead, disk.size() - offset);
      disk.prefetch(offset, length);
      if (read(disk, offset, length, kMostRead) != read(disk, offset, length, 5000)) {
        std::abort();
      }
      check_extents(disk, offset);
    } catch (const Error&) {
    }
  }
}

std::shared_ptr<const SectorCipher> some_cipher() {
  return make_sector_cipher({"aes", "cbc-plain64", Bytes(16, std::byte{7})}, "fuzz");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::make_shared<fuzz::BytesSource>(data, size);
  try {
    const Qcow2Header header = read_qcow2_header(*file);
    Qcow2Parts parts{.file = file, .force_corrupt = true};
    if (!header.backing_name.empty()) {
      parts.backing = std::make_shared<fuzz::BytesSource>(data, size);
    }
    if (header.has_data_file()) {
      parts.data_file = std::make_shared<fuzz::BytesSource>(data, size);
    }
    if (header.encryption != Qcow2Encryption::kNone) {
      parts.cipher = some_cipher();
    }
    check_disk(*open_qcow2(parts, header));
    for (const Qcow2Snapshot& snapshot : read_qcow2_snapshots(*file, header)) {
      parts.snapshot = snapshot;
      check_disk(*open_qcow2(parts, header));
      break;
    }
  } catch (const Error&) {
  }
  return 0;
}
