// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/vmferry/image_copy.h"
#include "tools/vmferry/ui/session.h"
#include "vmferry/history.h"
#include "vmferry/transfer.h"

// States of a disk as a chain of images in a directory: convert --chain.

namespace vmferry::cli {

struct ChainCopy {
  std::string directory;  ///< empty: no chain is wanted
  std::string since;  ///< the snapshot that its newest image holds; empty: there is no chain yet
};

/// An image that was made.
struct LinkOutcome {
  std::string path;
  std::optional<Point> point;  ///< nothing: the disk as it is now
  TransferResult copied;
};

/// Makes an image of each state that is wanted, the oldest first; each is complete and has its name
/// before the next one is begun. `made` gets those, also where an Error follows. Throws Error.
void copy_chain(Session& session, ImageCopy& job, const ChainCopy& chain,
                std::vector<LinkOutcome>& made);

}  // namespace vmferry::cli
