// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_lists.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "lib/core/printable.h"
#include "vmferry/error.h"

// Layouts and limits: docs/interop/qcow2.rst, "Snapshots" and "Bitmaps", and QEMU's
// block/qcow2-snapshot.c and block/qcow2-bitmap.c.

namespace vmferry {
namespace {

constexpr uint64_t kMaxSnapshotTable = uint64_t{64} << 20;
constexpr uint64_t kMaxSnapshotExtra = 1024;
constexpr uint32_t kMaxBitmaps = 65535;
constexpr uint64_t kMaxBitmapDirectory = kMaxBitmaps * uint64_t{1024};
constexpr uint64_t kMaxBitmapName = 1023;
constexpr uint32_t kMinGranularityBits = 9;
constexpr uint32_t kMaxGranularityBits = 31;
constexpr uint64_t kWindow = uint64_t{256} << 10;  // more than the longest entry

[[noreturn]] void fail(const std::string& object, std::string_view structure, uint64_t at,
                       std::string cause, std::string hint = {}) {
  throw Error({.kind = ErrorKind::kCorrupt,
               .object = object,
               .action = std::string(structure),
               .offset = at,
               .cause = std::move(cause),
               .hint = std::move(hint)});
}

/// A list of entries of unknown length, seen through a window that moves over it: the memory it
/// takes does not depend on how many there are.
class EntryList {
 public:
  EntryList(const Source& file, std::string_view structure, Qcow2Place place)
      : file_(file), structure_(structure), at_(place.offset), end_(place.offset + place.bytes) {
    if (place.offset > file.size()) {
      past_end();
    }
    is_cut_ = end_ > file.size();
    end_ = std::min(end_, file.size());
  }

  /// `bytes` of the entry that begins here.
  ByteReader look(uint64_t bytes) {
    if (bytes > end_ - at_) {
      past_end();
    }
    if (at_ < window_at_ || at_ + bytes > window_at_ + window_.size()) {
      window_.resize(std::min(std::max(bytes, kWindow), end_ - at_));
      file_.read_at(at_, window_);
      window_at_ = at_;
    }
    return {std::span(window_).subspan(at_ - window_at_, bytes), file_.name(), structure_, at_};
  }

  /// Every entry is padded to 8 bytes; after the last one that may be missing.
  void skip(uint64_t bytes) { at_ += std::min((bytes + 7) & ~uint64_t{7}, end_ - at_); }

 private:
  [[noreturn]] void past_end() const {
    if (is_cut_ || at_ > file_.size()) {
      fail(file_.name(), structure_, at_,
           fmt::format("it goes on past the end of the file ({} bytes)", file_.size()),
           "the file looks cut short: copy it again");
    }
    fail(file_.name(), structure_, at_, "it is longer than it may be");
  }

  const Source& file_;
  const std::string_view structure_;
  uint64_t at_;
  uint64_t end_;
  bool is_cut_ = false;
  std::vector<std::byte> window_;
  uint64_t window_at_ = 0;
};

std::string list_some(const std::vector<Qcow2Snapshot>& snapshots) {
  constexpr size_t kEnough = 10;
  if (snapshots.empty()) {
    return "the image has no snapshots";
  }
  std::string text = "there are:";
  for (size_t i = 0; i < std::min(kEnough, snapshots.size()); ++i) {
    text += fmt::format("{} {} (id {})", i == 0 ? "" : ",", printable(snapshots[i].name),
                        printable(snapshots[i].id));
  }
  return snapshots.size() > kEnough ? text + " ..." : text;
}

}  // namespace

uint64_t snapshot_entry_bytes(const ByteReader& in) {
  const uint64_t extra = in.u32(36);
  if (extra > kMaxSnapshotExtra) {
    in.corrupt(36, fmt::format("an entry has {} bytes of extra data, more than {}", extra,
                               kMaxSnapshotExtra));
  }
  return kSnapshotEntryHead + extra + in.u16(12) + in.u16(14);
}

Qcow2Snapshot parse_snapshot_entry(const ByteReader& in) {
  const uint64_t extra = in.u32(36);
  const uint64_t id_length = in.u16(12);
  const uint64_t strings = kSnapshotEntryHead + extra;
  Qcow2Snapshot snapshot{.id = in.string(strings, id_length),
                         .name = in.string(strings + id_length, in.u16(14)),
                         .l1_offset = in.u64(0),
                         .l1_entries = in.u32(8),
                         .date_seconds = in.u32(16),
                         .date_nanoseconds = in.u32(20),
                         .vm_clock_nanoseconds = in.u64(24),
                         .vm_state_bytes = in.u32(32),
                         .virtual_size = {}};
  if (extra >= 8) {
    snapshot.vm_state_bytes = in.u64(kSnapshotEntryHead);
  }
  if (extra >= 16) {
    snapshot.virtual_size = in.u64(kSnapshotEntryHead + 8);
  }
  return snapshot;
}

uint64_t bitmap_entry_bytes(const ByteReader& in) {
  return kBitmapEntryHead + in.u32(20) + in.u16(18);
}

Qcow2Bitmap parse_bitmap_entry(const ByteReader& in) {
  const uint32_t flags = in.u32(12);
  const uint32_t granularity_bits = in.u8(17);
  const uint64_t extra = in.u32(20);
  const uint64_t name_length = in.u16(18);
  if (granularity_bits < kMinGranularityBits || granularity_bits > kMaxGranularityBits) {
    in.corrupt(17, fmt::format("an entry has granularity_bits {}, not {} to {}", granularity_bits,
                               kMinGranularityBits, kMaxGranularityBits));
  }
  if (name_length == 0 || name_length > kMaxBitmapName) {
    in.corrupt(18, fmt::format("an entry has a name of {} bytes, not 1 to {}", name_length,
                               kMaxBitmapName));
  }
  return {.name = in.string(kBitmapEntryHead + extra, name_length),
          .granularity = uint64_t{1} << granularity_bits,
          .is_in_use = (flags & 1) != 0,
          .is_auto = (flags & 2) != 0};
}

std::vector<Qcow2Snapshot> read_qcow2_snapshots(const Source& file, const Qcow2Header& header) {
  std::vector<Qcow2Snapshot> snapshots;
  if (header.snapshot_count == 0) {
    return snapshots;
  }
  EntryList list(file, "snapshot table", {header.snapshots_offset, kMaxSnapshotTable});
  for (uint32_t i = 0; i < header.snapshot_count; ++i) {
    const uint64_t bytes = snapshot_entry_bytes(list.look(kSnapshotEntryHead));
    snapshots.push_back(parse_snapshot_entry(list.look(bytes)));
    list.skip(bytes);
  }
  return snapshots;
}

Qcow2Snapshot find_qcow2_snapshot(const Source& file, const Qcow2Header& header,
                                  const std::optional<std::string>& name,
                                  const std::optional<std::string>& id) {
  const auto refuse = [&](ErrorKind kind, std::string cause, std::string hint) {
    throw Error({.kind = kind,
                 .object = file.name(),
                 .action = "look for the snapshot",
                 .cause = std::move(cause),
                 .hint = std::move(hint)});
  };
  const std::vector<Qcow2Snapshot> all = read_qcow2_snapshots(file, header);
  const Qcow2Snapshot* found = nullptr;
  for (const Qcow2Snapshot& snapshot : all) {
    if ((name && snapshot.name != *name) || (id && snapshot.id != *id)) {
      continue;
    }
    if (found != nullptr) {
      refuse(ErrorKind::kConflict, "there are several like that",
             fmt::format("two of them have the ids {} and {}: use --snapshot-id",
                         printable(found->id), printable(snapshot.id)));
    }
    found = &snapshot;
  }
  if (found == nullptr) {
    refuse(ErrorKind::kNotFound,
           fmt::format("there is none with the {} '{}'", name ? "name" : "id", name ? *name : *id),
           list_some(all));
  }
  return *found;
}

std::vector<Qcow2Bitmap> read_qcow2_bitmaps(const Source& file, const Qcow2Header& header) {
  std::vector<Qcow2Bitmap> bitmaps;
  if (!header.bitmaps) {
    return bitmaps;
  }
  const auto& [count, place] = *header.bitmaps;
  constexpr std::string_view kName = "bitmap directory";
  if (count == 0 || count > kMaxBitmaps) {
    fail(file.name(), kName, place.offset,
         fmt::format("{} bitmaps are not 1 to {}", count, kMaxBitmaps));
  }
  if (place.bytes > kMaxBitmapDirectory) {
    fail(file.name(), kName, place.offset,
         fmt::format("it is {} bytes long, more than {}", place.bytes, kMaxBitmapDirectory));
  }
  if (place.offset % header.cluster_size() != 0) {
    fail(file.name(), kName, place.offset, "its offset is not a multiple of the cluster size");
  }
  EntryList list(file, kName, place);
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t bytes = bitmap_entry_bytes(list.look(kBitmapEntryHead));
    bitmaps.push_back(parse_bitmap_entry(list.look(bytes)));
    list.skip(bytes);
  }
  return bitmaps;
}

}  // namespace vmferry
