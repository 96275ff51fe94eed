// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "vmferry/inspect.h"

// The tables are parsed here and not by libblkid or libfdisk: both want a file descriptor of the
// whole disk, and an image on RBD or in qcow2 has none. What an extended partition's chain or a
// backup GPT is made of can lie anywhere, so a copy of the beginning would not do, either. And
// neither library tells the CHS addresses.

namespace vmferry {

constexpr uint64_t kMbrSector = 512;

/// One of the four entries of an MBR or EBR.
struct MbrEntry {
  uint8_t boot = 0;
  uint8_t type = 0;
  Chs first_chs;
  Chs last_chs;
  uint32_t start = 0;    ///< sectors; what it counts from depends on the table
  uint32_t sectors = 0;  ///< length

  bool is_used() const { return type != 0 && sectors != 0; }
  bool is_extended() const { return type == 0x05 || type == 0x0f || type == 0x85; }
};

/// The entries of a sector of 512 bytes, or nothing if it is no table: no signature, or boot flags
/// that no table has (Linux, block/partitions/msdos.c). Pure.
std::optional<std::array<MbrEntry, 4>> parse_mbr_sector(std::span<const std::byte> sector);

/// Is it only the guard in front of a GPT? (One entry of type 0xee.)
bool is_protective(const std::array<MbrEntry, 4>& entries);

/// The MBR of `disk`, whose first sector is `sector`, with the logical partitions of every extended
/// one. Follows at most 128 links, and none twice. Without names of types.
std::optional<PartitionTable> read_mbr(const Source& disk, std::span<const std::byte> sector);

/// Why a pair of CHS addresses does not agree with the sectors, or nothing if it does for one of
/// the usual geometries, is not used, or is too large for CHS. Pure.
std::optional<std::string> check_chs(const Chs& first, const Chs& last, uint64_t first_sector,
                                     uint64_t last_sector);

}  // namespace vmferry
