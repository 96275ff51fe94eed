// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/domain.h"

// The definition of a guest's copy. What is not known to be harmless is not in it: so nothing that
// a later libvirt brings can lead to the guest, its files, its host or a network.

namespace vmferry::rehearsal {

/// What the copy has in place of the guest's.
struct CopyTraits {
  std::string name;
  std::string uuid;
  std::map<std::string, RbdTarget> disks;  ///< by target dev: of the others none stays
  std::optional<RbdTarget> nvram;          ///< its UEFI variables
  std::optional<uint64_t> memory;          ///< bytes
};

struct CopyDefinition {
  std::string text;
  std::vector<std::string> left_out;  ///< for people: "graphics (vnc): nobody looks in"
  uint64_t memory = 0;                ///< bytes
  bool has_agent = false;             ///< a channel to its guest agent
  bool has_console = false;           ///< a serial console
  bool has_screen = false;
};

/// Throws Error: kNotFound (no such disk) or kUnsupported (it cannot be put on RBD, `memory` cannot
/// be changed, it is for no QEMU).
CopyDefinition copy_definition(const Domain& guest, const CopyTraits& traits);

}  // namespace vmferry::rehearsal
