// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "lib/core/printable.h"
#include "lib/format/qcow2/byte_reader.h"

namespace vmferry {
namespace {

constexpr uint32_t kMagic = 0x514649fb;  // "QFI\xfb"
constexpr uint64_t kV2HeaderLength = 72;
constexpr uint64_t kV3MinHeaderLength = 104;
constexpr uint32_t kMinClusterBits = 9;
constexpr uint32_t kMaxClusterBits = 21;
constexpr uint32_t kMinClusterBitsExtendedL2 = 14;
constexpr uint64_t kMaxRefcountTableBytes = uint64_t{8} << 20;
constexpr uint32_t kMaxRefcountOrder = 6;
constexpr uint32_t kMaxSnapshots = 65536;
constexpr uint64_t kMaxNameLength = 1023;
constexpr uint64_t kMaxFormatLength = 15;
constexpr uint64_t kMaxOffset = std::numeric_limits<int64_t>::max();

constexpr uint64_t kFeatureCompression = uint64_t{1} << 3;
constexpr uint64_t kKnownIncompatible = 0x1f;

constexpr uint32_t kExtensionEnd = 0;
constexpr uint32_t kExtensionBackingFormat = 0xe2792aca;
constexpr uint32_t kExtensionDataFile = 0x44415441;
constexpr uint32_t kExtensionFeatureNames = 0x6803f857;
constexpr uint32_t kExtensionLuks = 0x0537be77;
constexpr uint32_t kExtensionBitmaps = 0x23852875;
constexpr uint64_t kFeatureNameRecord = 48;

static_assert(uint64_t{1} << kMaxClusterBits == kQcow2MaxClusterSize);

// One parse: the bytes, whom to blame, and the header as it grows. Later steps rely on the checks
// of earlier ones, in the order of parse().
class HeaderParser {
 public:
  HeaderParser(std::span<const std::byte> start, const std::string& name, uint64_t file_size)
      : start_(start), name_(name), file_size_(file_size), in_(start, name, "qcow2 header") {}

  Qcow2Header parse() {
    read_fixed_part();
    read_version_3_part();
    // Before the names of features are known this could only be refused without saying what it is.
    read_extensions();
    check_features();
    read_codec();
    read_backing_name();
    check_disk_and_l1();
    check_refcounts_and_snapshots();
    return header_;
  }

 private:
  // `at` is the field that says so.
  [[noreturn]] void corrupt(uint64_t at, std::string cause, std::string hint = {}) const {
    in_.corrupt(at, std::move(cause), std::move(hint));
  }

  [[noreturn]] void unsupported(uint64_t at, std::string cause, std::string hint = {}) const {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = name_,
                 .action = "qcow2 header",
                 .offset = at,
                 .cause = std::move(cause),
                 .hint = std::move(hint)});
  }

  void read_fixed_part() {
    if (in_.u32(0) != kMagic) {
      corrupt(0, "this is not a qcow2 image", "pass -f raw, or leave -f out");
    }
    header_.version = in_.u32(4);
    if (header_.version == 1) {
      unsupported(4, "version 1 (qcow) is not supported",
                  "convert it first: qemu-img convert -O qcow2");
    }
    if (header_.version != 2 && header_.version != 3) {
      unsupported(4, fmt::format("version {} is not supported", header_.version));
    }
    header_.cluster_bits = in_.u32(20);
    if (header_.cluster_bits < kMinClusterBits || header_.cluster_bits > kMaxClusterBits) {
      corrupt(20, fmt::format("cluster_bits is {}, not {} to {}", header_.cluster_bits,
                              kMinClusterBits, kMaxClusterBits));
    }
    header_.virtual_size = in_.u64(24);
    read_encryption(in_.u32(32));
    header_.l1_entries = in_.u32(36);
    header_.l1_offset = in_.u64(40);
    header_.refcount_table_offset = in_.u64(48);
    header_.refcount_table_clusters = in_.u32(56);
    header_.snapshot_count = in_.u32(60);
    header_.snapshots_offset = in_.u64(64);
  }

  void read_encryption(uint32_t method) {
    if (method > 2) {
      unsupported(32, fmt::format("encryption method {} is not known", method));
    }
    header_.encryption = static_cast<Qcow2Encryption>(method);
  }

  void read_version_3_part() {
    if (header_.version < 3) {
      return;
    }
    header_.incompatible_features = in_.u64(72);
    header_.compatible_features = in_.u64(80);
    header_.autoclear_features = in_.u64(88);
    header_.refcount_order = in_.u32(96);
    header_.header_length = in_.u32(100);
    if (header_.header_length < kV3MinHeaderLength ||
        header_.header_length > header_.cluster_size()) {
      corrupt(100, fmt::format("header_length is {}, not {} to the cluster size {}",
                               header_.header_length, kV3MinHeaderLength, header_.cluster_size()));
    }
    if (header_.refcount_order > kMaxRefcountOrder) {
      corrupt(96, fmt::format("refcount_order is {}, more than {}", header_.refcount_order,
                              kMaxRefcountOrder));
    }
  }

  // Without an end marker the extensions end where the backing name or the cluster does.
  uint64_t extensions_end() const {
    const uint64_t end = std::min<uint64_t>(start_.size(), header_.cluster_size());
    const uint64_t backing_offset = in_.u64(8);
    return backing_offset == 0 ? end : std::min(end, backing_offset);
  }

  void read_extensions() {
    const uint64_t end = extensions_end();
    uint64_t at = header_.version == 2 ? kV2HeaderLength : header_.header_length;
    while (at < end && end - at >= 8) {
      const uint32_t type = in_.u32(at);
      const uint64_t length = in_.u32(at + 4);
      at += 8;
      if (type == kExtensionEnd) {
        return;
      }
      if (length > end - at) {
        corrupt(at - 8, fmt::format("extension {:#010x} is {} bytes long, past the end of its area",
                                    type, length));
      }
      read_extension(type, at, length);
      at += (length + 7) & ~uint64_t{7};
    }
  }

  void read_extension(uint32_t type, uint64_t at, uint64_t length) {
    if (type == kExtensionBackingFormat) {
      if (length > kMaxFormatLength) {
        corrupt(at, "the name of the backing format is too long");
      }
      set_once(header_.backing_format, at, length, "backing format");
    } else if (type == kExtensionDataFile) {
      if (length > kMaxNameLength) {
        corrupt(at, "the name of the external data file is too long");
      }
      set_once(header_.data_file_name, at, length, "external data file");
    } else if (type == kExtensionFeatureNames) {
      read_feature_names(in_.bytes(at, length));
    } else if (type == kExtensionLuks) {
      if (length != 16) {
        corrupt(at, fmt::format("the encryption extension is {} bytes, not 16", length));
      }
      if (header_.luks_header) {
        corrupt(at, "the encryption header is named twice");
      }
      header_.luks_header = {in_.u64(at), in_.u64(at + 8)};
    } else if (type == kExtensionBitmaps) {
      if (length != 24) {
        corrupt(at, fmt::format("the bitmaps extension is {} bytes, not 24", length));
      }
      if (header_.bitmaps) {
        corrupt(at, "the bitmap directory is named twice");
      }
      header_.bitmaps = {in_.u32(at), {in_.u64(at + 16), in_.u64(at + 8)}};
    } else if (type == kQcow2PointExtension) {
      read_point(at, length);
    }
  }

  void read_point(uint64_t at, uint64_t length) {
    if (length < kQcow2PointHead || in_.string(at, 8) != kQcow2PointMark) {
      return;  // somebody else's
    }
    const uint64_t id_length = in_.u32(at + 24);
    if (header_.point || id_length > length - kQcow2PointHead) {
      corrupt(at, "the state that the image holds makes no sense");
    }
    const auto seconds = static_cast<int64_t>(in_.u64(at + 16));
    const uint64_t name_at = at + kQcow2PointHead + id_length;
    header_.point = {.name = in_.string(name_at, at + length - name_at),
                     .id = in_.string(at + kQcow2PointHead, id_length),
                     .size = in_.u64(at + 8)};
    if (seconds != std::numeric_limits<int64_t>::min()) {
      header_.point->seconds = seconds;
    }
  }

  void read_feature_names(std::span<const std::byte> table) {
    header_.feature_names.clear();
    const ByteReader in(table, name_, "feature name table");
    for (uint64_t at = 0; at + kFeatureNameRecord <= in.size(); at += kFeatureNameRecord) {
      if (in.u8(at) > 2) {
        continue;
      }
      const std::string text = in.string(at + 2, kFeatureNameRecord - 2);
      header_.feature_names.push_back({static_cast<Qcow2FeatureName::Word>(in.u8(at)),
                                       in.u8(at + 1), text.substr(0, text.find('\0'))});
    }
  }

  // Two names would let two readers see two different disks.
  void set_once(std::optional<std::string>& target, uint64_t at, uint64_t length,
                std::string_view what) {
    if (target) {
      corrupt(at, fmt::format("the {} is named twice", what));
    }
    target = in_.string(at, length);
    check_no_nul(at, *target, what);
  }

  void check_no_nul(uint64_t at, const std::string& text, std::string_view what) const {
    if (text.find('\0') != std::string::npos) {
      corrupt(at, fmt::format("the name of the {} contains a NUL byte", what));
    }
  }

  // The image's own name for an incompatible feature bit, or empty.
  std::string feature_name(unsigned bit) const {
    for (const Qcow2FeatureName& feature : header_.feature_names) {
      if (feature.word == Qcow2FeatureName::Word::kIncompatible && feature.bit == bit) {
        return printable(feature.name);
      }
    }
    return {};
  }

  void check_features() const {
    const uint64_t unknown = header_.incompatible_features & ~kKnownIncompatible;
    if (unknown == 0) {
      return;
    }
    std::string list;
    for (unsigned bit = 0; bit < 64; ++bit) {
      if ((unknown >> bit & 1) == 0) {
        continue;
      }
      const std::string name = feature_name(bit);
      list += list.empty() ? "" : ", ";
      list += name.empty() ? fmt::format("bit {}", bit) : fmt::format("'{}' (bit {})", name, bit);
    }
    unsupported(72, "the image needs features that are not known here: " + list,
                "a QEMU that knows them can convert it: qemu-img convert -O qcow2");
  }

  void read_codec() {
    const bool has_type = header_.version >= 3 && header_.header_length > kV3MinHeaderLength;
    const uint8_t type = has_type ? in_.u8(kV3MinHeaderLength) : 0;
    if (type > 1) {
      unsupported(kV3MinHeaderLength, fmt::format("compression type {} is not known", type));
    }
    if ((type != 0) != ((header_.incompatible_features & kFeatureCompression) != 0)) {
      corrupt(has_type ? kV3MinHeaderLength : 72,
              fmt::format("compression type {} does not agree with the feature bit for it", type));
    }
    header_.codec = static_cast<ClusterCodec>(type);
  }

  void read_backing_name() {
    const uint64_t offset = in_.u64(8);
    const uint64_t length = in_.u32(16);
    if (offset == 0 || length == 0) {
      return;
    }
    const uint64_t cluster = header_.cluster_size();
    if (offset > cluster || length > kMaxNameLength || length > cluster - offset) {
      corrupt(8,
              fmt::format("the backing file name ({} bytes at {}) is too long or outside the first "
                          "cluster",
                          length, offset));
    }
    header_.backing_name = in_.string(offset, length);
    check_no_nul(offset, header_.backing_name, "backing file");
  }

  void check_table(uint64_t at, std::string_view what, uint64_t offset, uint64_t bytes,
                   uint64_t limit) const {
    if (bytes > limit) {
      corrupt(at, fmt::format("the {} is {} bytes long, more than {}", what, bytes, limit));
    }
    if (offset % header_.cluster_size() != 0) {
      corrupt(at,
              fmt::format("the {} offset {} is not a multiple of the cluster size", what, offset));
    }
    if (offset > kMaxOffset - bytes) {
      corrupt(at, fmt::format("the {} offset is too large", what));
    }
  }

  void check_disk_and_l1() const {
    if (header_.virtual_size > kMaxOffset) {
      corrupt(24, "the virtual size is more than 2^63 - 1 bytes");
    }
    if (header_.has_extended_l2() && header_.cluster_bits < kMinClusterBitsExtendedL2) {
      corrupt(20, "clusters are too small for extended L2 entries");
    }
    const uint64_t bytes = uint64_t{header_.l1_entries} * 8;
    check_table(40, "L1 table", header_.l1_offset, bytes, kQcow2MaxL1Bytes);
    if (header_.l1_entries < header_.l1_entries_needed()) {
      corrupt(36, fmt::format("the L1 table has {} entries, but the virtual size needs {}",
                              header_.l1_entries, header_.l1_entries_needed()));
    }
    if (bytes == 0) {
      return;
    }
    if (header_.l1_offset == 0) {
      corrupt(40, "the L1 table is said to be in the header");
    }
    if (header_.l1_offset + bytes > file_size_) {
      corrupt(40,
              fmt::format("the L1 table ({} bytes at {}) ends past the end of the file ({} bytes)",
                          bytes, header_.l1_offset, file_size_),
              "the file looks cut short: copy it again");
    }
  }

  void check_refcounts_and_snapshots() const {
    if (header_.refcount_table_clusters == 0) {
      corrupt(56, "the refcount table is empty");
    }
    check_table(48, "refcount table", header_.refcount_table_offset,
                header_.refcount_table_clusters * header_.cluster_size(), kMaxRefcountTableBytes);
    if (header_.snapshot_count > kMaxSnapshots) {
      corrupt(60,
              fmt::format("{} snapshots are more than {}", header_.snapshot_count, kMaxSnapshots));
    }
    if (header_.snapshot_count > 0) {
      check_table(64, "snapshot table", header_.snapshots_offset, 0, 0);
    }
  }

  std::span<const std::byte> start_;
  const std::string& name_;
  uint64_t file_size_;
  ByteReader in_;
  Qcow2Header header_;
};

}  // namespace

Qcow2Header parse_qcow2_header(std::span<const std::byte> start, const std::string& name,
                               uint64_t file_size) {
  return HeaderParser(start, name, file_size).parse();
}

Qcow2Header read_qcow2_header(const Source& file) {
  // Nearly all images have such clusters, and what is read may come from far away.
  constexpr uint64_t kUsualCluster = 64 << 10;
  constexpr size_t kClusterBits = 20;  // where it is
  std::vector<std::byte> start(std::min(file.size(), kUsualCluster));
  file.read_at(0, start);
  const bool is_usual = start.size() < kClusterBits + 4 || start[kClusterBits + 3] <= std::byte{16};
  if (!is_usual) {
    start.resize(std::min(file.size(), kQcow2MaxClusterSize));
    file.read_at(0, start);
  }
  return parse_qcow2_header(start, file.name(), file.size());
}

}  // namespace vmferry
