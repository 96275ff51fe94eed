// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/format/qcow2/cluster_codec.h"
#include "vmferry/history.h"
#include "vmferry/source.h"

namespace vmferry {

class Qcow2TableCache;
class SectorCipher;

/// How the guest data of an image is encrypted. The values are those of the header.
enum class Qcow2Encryption : uint8_t { kNone = 0, kAes = 1, kLuks = 2 };

/// The image's own name for a feature bit. What it says is only shown, never acted on.
struct Qcow2FeatureName {
  /// Which word the bit is in. The values are those of the feature name table.
  enum class Word : uint8_t { kIncompatible = 0, kCompatible = 1, kAutoclear = 2 };
  Word word = Word::kIncompatible;
  uint8_t bit = 0;
  std::string name;  ///< raw bytes: print it through printable()
};

/// A piece of the image file that the header points to. Unchecked.
struct Qcow2Place {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

/// Where the directory of persistent bitmaps is. Unchecked.
struct Qcow2BitmapDirectory {
  uint32_t count = 0;
  Qcow2Place place;
};

/// The header of a qcow2 image (version 2 or 3) with the extensions that matter to a reader, as
/// read_qcow2_header() checked it. Offsets are bytes in the image file. A plain value.
struct Qcow2Header {
  uint32_t version = 0;
  uint32_t cluster_bits = 0;
  uint64_t virtual_size = 0;  ///< bytes, any number: not cut to sectors
  uint64_t l1_offset = 0;
  uint32_t l1_entries = 0;  ///< may be more than the virtual size needs
  uint64_t refcount_table_offset = 0;
  uint32_t refcount_table_clusters = 0;
  uint32_t refcount_order = 4;
  uint32_t snapshot_count = 0;
  uint64_t snapshots_offset = 0;
  uint64_t incompatible_features = 0;
  uint64_t compatible_features = 0;
  uint64_t autoclear_features = 0;
  uint32_t header_length = 72;
  ClusterCodec codec = ClusterCodec::kDeflate;
  Qcow2Encryption encryption = Qcow2Encryption::kNone;
  std::string backing_name;                   ///< empty: no backing image
  std::optional<std::string> backing_format;  ///< as the image declares it, unverified
  std::optional<std::string> data_file_name;  ///< as the image declares it, unverified
  std::optional<Qcow2Place> luks_header;      ///< with kLuks
  std::optional<Qcow2BitmapDirectory> bitmaps;
  std::vector<Qcow2FeatureName> feature_names;
  /// Which state of a disk the image was made of, as vmferry wrote it down. Unverified.
  std::optional<Point> point;

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  /// The image was not closed cleanly. Harmless to a reader: only refcounts may be wrong.
  bool is_dirty() const { return (incompatible_features & 1) != 0; }
  /// QEMU found the image damaged, and marked it.
  bool is_marked_corrupt() const { return (incompatible_features & 2) != 0; }
  bool has_data_file() const { return (incompatible_features & 4) != 0; }
  /// Without it the bitmaps are out of date: somebody changed the image who did not know them.
  bool are_bitmaps_valid() const { return (autoclear_features & 1) != 0; }
  bool has_extended_l2() const { return (incompatible_features & 16) != 0; }
  /// Guest bytes that one L2 table maps.
  uint64_t l2_coverage() const {
    return cluster_size() * (cluster_size() / (has_extended_l2() ? 16 : 8));
  }
  /// L1 entries that the virtual size needs; those after them mean nothing to the disk.
  uint64_t l1_entries_needed() const {
    return virtual_size / l2_coverage() + (virtual_size % l2_coverage() != 0 ? 1 : 0);
  }
};

/// Reads the first cluster of `file` (2 MiB at most) and checks all that can be checked without
/// following a table. Describes also images that open_qcow2() refuses, for `info`. Throws Error
/// kCorrupt when the header contradicts the format or the file's size, and kUnsupported for a
/// version, compression or incompatible feature that is not known here. Any thread may call it.
Qcow2Header read_qcow2_header(const Source& file);

/// An internal snapshot, as its table describes it. Names are raw bytes: print them through
/// printable().
struct Qcow2Snapshot {
  std::string id;  ///< mostly a number; like the name it need not be unique
  std::string name;
  uint64_t l1_offset = 0;  ///< bytes in the file; unchecked
  uint32_t l1_entries = 0;
  uint32_t date_seconds = 0;  ///< since 1970, UTC
  uint32_t date_nanoseconds = 0;
  uint64_t vm_clock_nanoseconds = 0;                    ///< how long the guest had run
  uint64_t vm_state_bytes = 0;                          ///< 0: of the disk only
  std::optional<uint64_t> virtual_size = std::nullopt;  ///< bytes; images of version 2 may not say
};

/// A persistent bitmap, as the directory describes it.
struct Qcow2Bitmap {
  std::string name;          ///< raw bytes: print it through printable()
  uint64_t granularity = 0;  ///< guest bytes for one bit
  bool is_in_use = false;    ///< not saved properly: its content means nothing
  bool is_auto = false;      ///< records writes whenever the image is open
};

/// The internal snapshots of an image, in the order of their table. Reads the table piece by piece,
/// 64 MiB at most. Throws Error kCorrupt for a damaged or cut table. Any thread.
std::vector<Qcow2Snapshot> read_qcow2_snapshots(const Source& file, const Qcow2Header& header);

/// The snapshot with that name, that id, or both. Throws Error kNotFound when there is none, with
/// those that there are, and kConflict when there are several. Any thread.
Qcow2Snapshot find_qcow2_snapshot(const Source& file, const Qcow2Header& header,
                                  const std::optional<std::string>& name,
                                  const std::optional<std::string>& id);

/// The persistent bitmaps of an image; whether they can be believed says are_bitmaps_valid(). Reads
/// the directory only, 64 MiB at most. Throws Error kCorrupt for a damaged or cut one. Any thread.
std::vector<Qcow2Bitmap> read_qcow2_bitmaps(const Source& file, const Qcow2Header& header);

/// What open_qcow2() makes a disk of.
struct Qcow2Parts {
  std::shared_ptr<const Source> file = nullptr;
  /// The guest view of the backing image, of any size. Null: what the image does not map is zero.
  std::shared_ptr<const Source> backing = nullptr;
  std::shared_ptr<const Source> data_file = nullptr;     ///< needed with has_data_file()
  std::shared_ptr<const SectorCipher> cipher = nullptr;  ///< needed with encryption
  std::optional<Qcow2Snapshot> snapshot = std::nullopt;  ///< the disk as it was then
  /// Of the size that the snapshot had; otherwise of the size that the disk has now, as QEMU shows
  /// it (qemu-img convert -l).
  bool has_size_of_snapshot = false;
  std::shared_ptr<Qcow2TableCache> tables = nullptr;  ///< null: one of its own
  bool force_corrupt = false;                         ///< in spite of the mark
};

/// The guest disk in an image whose header is `header`. Throws kUnsupported where a part that is
/// needed is not there, and kCorrupt for an image that is marked so and for a snapshot that cannot
/// be. Tables pass through the cache, so memory does not depend on the size of the image. All
/// methods of the result may be called from many threads. Damage found later is thrown as kCorrupt
/// by the call that meets it; nothing is guessed.
std::unique_ptr<Source> open_qcow2(Qcow2Parts parts, const Qcow2Header& header);

}  // namespace vmferry
