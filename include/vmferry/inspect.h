// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

/// What libblkid makes of a disk or partition. Texts are fit to print; empty: there is none.
struct FileSystem {
  std::string type;   ///< "ext4", "LVM2_member", "crypto_LUKS", "swap" ...
  std::string usage;  ///< "filesystem", "raid", "crypto" or "other"
  std::string version;
  std::string label;
  std::string uuid;

  bool operator==(const FileSystem&) const = default;
};

/// An address as an MBR packs it. In nonsense the sector may be 0.
struct Chs {
  unsigned cylinder = 0;  ///< 0 to 1023
  unsigned head = 0;      ///< 0 to 255
  unsigned sector = 0;    ///< 1 to 63

  bool operator==(const Chs&) const = default;
};

enum class PartitionRole { kPrimary, kExtended, kLogical };

/// One entry of a partition table, as it is written there: it may lie outside the disk.
struct Partition {
  unsigned number = 0;  ///< as Linux counts: logical ones begin with 5
  PartitionRole role = PartitionRole::kPrimary;
  uint64_t offset = 0;      ///< of the disk (bytes)
  uint64_t length = 0;      ///< bytes
  std::string type;         ///< "0x83", or a GUID in upper case
  std::string type_name;    ///< as libfdisk calls it; empty: it has no name for it
  std::string name;         ///< GPT only, UTF-8
  std::string uuid;         ///< GPT: of the partition; MBR: disk id and number, as Linux does
  uint64_t attributes = 0;  ///< GPT only
  bool is_active = false;   ///< MBR only: the boot flag
  std::optional<Chs> first_chs = std::nullopt;  ///< MBR only
  std::optional<Chs> last_chs = std::nullopt;   ///< MBR only
  std::optional<FileSystem> file_system = std::nullopt;

  uint64_t end() const { return offset + length; }
};

enum class PartitionScheme { kMbr, kGpt };

struct PartitionTable {
  PartitionScheme scheme = PartitionScheme::kMbr;
  std::string id;              ///< GPT: the disk's GUID; MBR: "0x1234abcd"
  uint32_t sector_size = 512;  ///< bytes; what the table counts in
  std::vector<Partition> partitions;
  /// What is odd about it, a sentence each: for people. Nothing here stops a reader.
  std::vector<std::string> notes;
};

/// What is inside of a disk.
struct Contents {
  std::optional<PartitionTable> table;
  std::optional<FileSystem>
      whole_disk;  ///< a file system and the like that begins where the disk does
  std::vector<std::string> notes;
};

/// Looks into a disk: its partition table, and what libblkid finds in each partition or, without a
/// table, on the disk. Reads a few MiB of each, whatever their size, and only where the disk has
/// data. Nothing is mounted, and no privilege is needed. A table that makes no sense is not shown,
/// or shown with notes; it is no error. Throws Error when the disk cannot be read. Any thread.
Contents inspect(const Source& disk);

}  // namespace VMFERRY_API vmferry
