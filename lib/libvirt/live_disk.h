// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

// What the definition of a running guest tells of one of its disks.

namespace vmferry::libvirt {

/// How libvirt opened the image of a running guest's disk, as its live definition tells.
struct LiveImage {
  std::string index;    ///< of the node in QEMU: <source index='4'/> is "libvirt-4-..."
  std::string discard;  ///< <driver discard='...'/>; empty: libvirt did not say
};

/// Throws Error: the definition has no such disk, or does not tell.
LiveImage live_image(const std::string& live_definition, const std::string& dev);

/// What a live definition tells of a disk's copy job.
struct MirrorFacts {
  bool ready = false;
  std::string target;  ///< a path, or "POOL/IMAGE"; empty: it does not tell
};
MirrorFacts mirror_facts(const std::string& live_definition, const std::string& dev);

}  // namespace vmferry::libvirt
