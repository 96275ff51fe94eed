// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "lib/core/endian.h"
#include "lib/core/zeros.h"
#include "lib/format/foreign/image_bytes.h"
#include "lib/format/foreign/prepare.h"

namespace vmferry {
namespace {

using Guid = std::array<uint8_t, 16>;  // as it is in the file

// [MS-VHDX] 2.2.3.2 and 2.6.2
constexpr Guid kBlockTable = {0x66, 0x77, 0xC2, 0x2D, 0x23, 0xF6, 0x00, 0x42,
                              0x9D, 0x64, 0x11, 0x5E, 0x9B, 0xFD, 0x4A, 0x08};
constexpr Guid kMetadata = {0x06, 0xA2, 0x7C, 0x8B, 0x90, 0x47, 0x9A, 0x4B,
                            0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E};
constexpr Guid kFileParameters = {0x37, 0x67, 0xA1, 0xCA, 0x36, 0xFA, 0x43, 0x4D,
                                  0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B};
constexpr Guid kDiskSize = {0x24, 0x42, 0xA5, 0x2F, 0x1B, 0xCD, 0x76, 0x48,
                            0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8};
constexpr Guid kSectorSize = {0x1D, 0xBF, 0x41, 0x81, 0x6F, 0xA9, 0x09, 0x47,
                              0xBA, 0x47, 0xF2, 0x33, 0xA8, 0xFA, 0xAB, 0x5F};

struct Vhdx {
  uint64_t table_at = 0;
  uint64_t disk_size = 0;
  uint64_t block = 0;   // bytes of the disk
  uint64_t sector = 0;  // of the disk
  bool has_parent = false;
};

/// Where the entry for `wanted` begins, in a list of entries of 32 bytes each that begin with one.
size_t find_entry(const Source& file, std::span<const std::byte> list, size_t first, size_t count,
                  const Guid& wanted, const char* what) {
  constexpr size_t kEntryBytes = 32;
  for (size_t i = 0; i < count && first + (i + 1) * kEntryBytes <= list.size(); ++i) {
    const auto entry = list.subspan(first + i * kEntryBytes, wanted.size());
    if (std::equal(entry.begin(), entry.end(), std::as_bytes(std::span(wanted)).begin())) {
      return first + i * kEntryBytes;
    }
  }
  throw corrupt_image(file, 0, std::string("it does not say where its ") + what + " is");
}

/// Where a region begins.
uint64_t region_at(const Source& file, const Guid& wanted, const char* what) {
  constexpr uint64_t kRegionsAt = 192 << 10;
  constexpr size_t kRegionBytes = 64 << 10;
  constexpr size_t kFirst = 16;
  const auto list = image_bytes(file, kRegionsAt, kRegionBytes, "region table");
  if (text_at(list, 0, 4) != "regi") {
    throw corrupt_image(file, kRegionsAt, "here should be its region table");
  }
  return le64(list, find_entry(file, list, kFirst, le32(list, 8), wanted, what) + 16);
}

/// An item of the metadata, of `length` bytes.
std::vector<std::byte> metadata_item(const Source& file, uint64_t metadata_at, const Guid& wanted,
                                     size_t length, const char* what) {
  constexpr size_t kListBytes = 64 << 10;
  constexpr size_t kFirst = 32;
  const auto list = image_bytes(file, metadata_at, kListBytes, "metadata");
  const size_t entry = find_entry(file, list, kFirst, le16(list, 10), wanted, what);
  return image_bytes(file, metadata_at + le32(list, entry + 16), length, what);
}

Vhdx read_vhdx(const Source& file) {
  constexpr uint64_t kLeastBlock = 1 << 20;
  constexpr uint64_t kMostBlock = 256 << 20;
  constexpr uint64_t kMostSize = uint64_t{64} << 40;
  const uint64_t metadata = region_at(file, kMetadata, "metadata");
  const auto parameters = metadata_item(file, metadata, kFileParameters, 8, "file parameters");
  const Vhdx vhdx = {
      .table_at = region_at(file, kBlockTable, "block table"),
      .disk_size = le64(metadata_item(file, metadata, kDiskSize, 8, "disk size"), 0),
      .block = le32(parameters, 0),
      .sector = le32(metadata_item(file, metadata, kSectorSize, 4, "sector size"), 0),
      .has_parent = (le32(parameters, 4) & 2) != 0};
  if (vhdx.block < kLeastBlock || vhdx.block > kMostBlock || vhdx.disk_size > kMostSize ||
      (vhdx.sector != 512 && vhdx.sector != 4096)) {
    throw corrupt_image(file, metadata, "its metadata says sizes that cannot be");
  }
  return vhdx;
}

/// Where the disk has bytes, and where in the file, in no more runs than memory should be taken
/// for: QEMU's driver calls all of it data, and gigabytes of zeros would come through its socket.
class BlockRuns {
 public:
  void add(const Extent& run) {
    if (runs_) {
      append_run(*runs_, run);
    }
    if (runs_ && runs_->size() > kMost) {
      runs_.reset();
    }
  }
  /// QEMU reads what is left out here.
  void add_place(const PlacedRun& run) {
    if (!places_.empty()) {
      PlacedRun& last = places_.back();
      if (last.offset + last.length == run.offset && last.place + last.length == run.place) {
        last.length += run.length;
        return;
      }
    }
    if (places_.size() < kMost) {
      places_.push_back(run);
    }
  }
  void put_into(QemuImage& image) {
    image.data = std::move(runs_);
    image.places = std::move(places_);
  }

 private:
  static constexpr size_t kMost = 1 << 19;  // 12 MiB
  std::optional<std::vector<Extent>> runs_ = std::vector<Extent>();
  std::vector<PlacedRun> places_;
};

/// The table has, after the blocks of each chunk, one entry for a bitmap. What a log that has to be
/// replayed would change in it does not matter: QEMU refuses such an image.
BlockRuns check_vhdx_blocks(const Source& file, const Vhdx& vhdx) {
  constexpr uint64_t kUnknown = 4;  // what QEMU would not read
  constexpr uint64_t kSectorsOfBitmap = 1 << 23;
  constexpr uint64_t kPresent = 6;  // and 7: in part
  constexpr uint64_t kPlaceUnit = 1 << 20;
  const uint64_t chunk = kSectorsOfBitmap * vhdx.sector / vhdx.block;
  const uint64_t blocks = vhdx.disk_size / vhdx.block + (vhdx.disk_size % vhdx.block != 0 ? 1 : 0);
  const uint64_t entries = blocks == 0 ? 0 : blocks + (blocks - 1) / chunk;
  BlockRuns runs;
  TableWalker(file).walk({vhdx.table_at, entries, 8, "block table"},
                         [&](uint64_t index, uint64_t entry) {
                           const bool is_bitmap = index % (chunk + 1) == chunk;
                           const uint64_t state = entry & 7;
                           if (is_bitmap || (state < kPresent && state != kUnknown)) {
                             return;
                           }
                           const uint64_t at = (index - index / (chunk + 1)) * vhdx.block;
                           const uint64_t length = std::min(vhdx.block, vhdx.disk_size - at);
                           const uint64_t place = entry & ~(kPlaceUnit - 1);
                           runs.add({at, length, ExtentKind::kData});
                           if (state >= kPresent) {
                             check_place(file, at, place, length);
                           }
                           if (state == kPresent) {
                             runs.add_place({at, length, place});
                           }
                         });
  return runs;
}

}  // namespace

std::unique_ptr<QemuImage> prepare_vhdx(std::unique_ptr<Source> file, FormatGate& /*gate*/) {
  const Vhdx vhdx = read_vhdx(*file);
  if (vhdx.has_parent) {
    throw parent_missing(*file, "differencing VHDX");
  }
  BlockRuns runs = check_vhdx_blocks(*file, vhdx);
  auto image =
      as_qemu_reads(std::move(file), "vhdx", vhdx.disk_size,
                    "if its log has to be replayed, on a copy of it: qemu-img check -r all FILE");
  runs.put_into(*image);
  return image;
}

}  // namespace vmferry
