// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "tools/vmferry/options.h"
#include "tools/vmferry/ui/session.h"
#include "vmferry/open.h"
#include "vmferry/shared_bases.h"

namespace vmferry::cli {

/// What `vmferry bases` looks at, and how.
struct LookOptions {
  std::vector<std::string> places;  ///< directories and files
  std::string connect;              ///< libvirt, whose machines' disks are looked at; empty: none
  SourceOptions from;
  bool with_contents = true;  ///< read images that lie over no other
  RunOptions run;
};

/// An image of this host.
struct FoundImage {
  DiskImageOnHost disk;
  ImageFormat format;
  bool was_probed = false;  ///< nobody said its format but itself
  std::string guest = {};   ///< the machine of libvirt that has it, and its disk: "web1-vda"
};

/// Looks at all of them, in the order of their paths. What one image says of others is followed as
/// far as the policy of options.from lets it, and is a mere name beyond. One that cannot be looked
/// at is told of and left out. Throws Error where a place or libvirt cannot be asked; kCancelled.
std::vector<FoundImage> look_at_images(Session& session, const LookOptions& options);

}  // namespace vmferry::cli
