// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "vmferry/inspect.h"

// Why not a library: see mbr.h.

namespace vmferry {

/// The header of a GPT (UEFI specification 5.3.2), its own checksum and numbers checked.
struct GptHeader {
  uint64_t own_lba = 0;
  uint64_t other_lba = 0;  ///< where the other copy is
  std::string disk_id;
  uint64_t entries_lba = 0;
  uint32_t entries = 0;
  uint32_t entry_size = 0;
  uint32_t entries_crc = 0;
};

/// The header in `sector`, which was read from `lba`; or why it is none. Pure.
struct GptParse {
  std::optional<GptHeader> header;
  std::string cause;
};
GptParse parse_gpt_header(std::span<const std::byte> sector, uint64_t lba);

/// 16 bytes as a GUID in upper case: the first three groups are little endian. Pure.
std::string format_guid(std::span<const std::byte> bytes);

/// The GPT of `disk`: the primary one for sectors of 512 or 4096 bytes, or else the backup at the
/// end. Nothing: there is neither. Without names of types.
std::optional<PartitionTable> read_gpt(const Source& disk);

}  // namespace vmferry
