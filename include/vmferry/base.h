// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/digest.h"
#include "vmferry/location.h"
#include "vmferry/network.h"
#include "vmferry/observer.h"
#include "vmferry/source.h"

// Is what an image was made over in a snapshot already, of which its volume can be a clone?

namespace VMFERRY_API vmferry {

struct DigestOptions {
  unsigned jobs = 8;             ///< threads that read; 1..64
  std::stop_token stop = {};     ///< stops the work: Error kCancelled
  Observer* observer = nullptr;  ///< told of the phase "digest"; may be null
};

/// Tells `digest`, of the source's size, of all that `source` shows. Reads all of its data. Throws
/// Error.
void read_digest(const Source& source, DiskDigest& digest, const DigestOptions& options);

/// Which image below the top of a chain shows the very bytes of the snapshot `base`: its depth in
/// the chain (MappedExtent::depth), the nearest if several do; 0: none does. `below` is
/// OpenImage::below. Images of the base's size are read for their digests, and the base itself,
/// unless its store has kept that; from then on it does, where the user may write there. A digest
/// finds accidents, not forgeries. Throws Error.
unsigned find_base_below(const std::vector<std::shared_ptr<const Source>>& below,
                         const Location& base, const NetworkOptions& network,
                         const DigestOptions& options);

}  // namespace VMFERRY_API vmferry
