// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/format/qemu_image.h"
#include "vmferry/error.h"
#include "vmferry/source.h"

// Reading what hostile images say about themselves. Any thread.

namespace vmferry {

inline constexpr uint64_t kImageSector = 512;  ///< bytes

/// An Error (kCorrupt) about the image.
Error corrupt_image(const Source& file, uint64_t offset, std::string cause);
/// An Error (kUnsupported) about the image.
Error unsupported_image(const Source& file, std::string cause, std::string hint = {});

/// The Error about an image that has only what changed since another one, which QEMU does not know.
Error parent_missing(const Source& file, const char* what);
/// As it is, without a parent. `size`: QemuImage's.
std::unique_ptr<QemuImage> as_qemu_reads(std::unique_ptr<Source> file, const char* driver,
                                         uint64_t size, std::string hint = {});

/// Bytes as a text. REQUIRES: they are there.
std::string_view text_at(std::span<const std::byte> bytes, size_t offset, size_t length);

/// `length` bytes at `offset`. REQUIRES: a length that is bounded. Throws corrupt_image() where the
/// file ends before; `what` is the name of what is read.
std::vector<std::byte> image_bytes(const Source& file, uint64_t offset, size_t length,
                                   const char* what);

/// A table of little-endian words in a file.
struct ImageTable {
  uint64_t offset = 0;
  uint64_t entries = 0;
  unsigned entry_bytes = 4;  ///< 4 or 8
  const char* what = "";     ///< in messages
};

/// Walks through the tables of one image, in bounded memory. Tables of a sound image do not
/// overlap: together they are not longer than the file, and so no image can keep us busy for ever.
/// A sparse file may seem to be of any length, so there is another bound: seconds of work. One
/// thread.
class TableWalker {
 public:
  /// Bytes of tables. A VHDX of 64 TiB, the largest, has 0.5 GiB; 2 TiB of grains of 64 KiB (VMDK)
  /// 128 MiB; ESX's grains of a sector reach it with 512 GiB of data.
  static constexpr uint64_t kMost = uint64_t{4} << 30;

  explicit TableWalker(const Source& file, uint64_t most = kMost);

  /// Calls `visit` with each entry and its index. Throws corrupt_image().
  void walk(const ImageTable& table,
            const std::function<void(uint64_t index, uint64_t entry)>& visit);

 private:
  const Source& file_;
  const uint64_t most_;  ///< bytes
  uint64_t left_;        ///< bytes
};

/// Throws corrupt_image() unless [place, place + length) lies in the file: the data of the guest's
/// disk at `guest_offset`.
void check_place(const Source& file, uint64_t guest_offset, uint64_t place, uint64_t length);

}  // namespace vmferry
