// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>

#include "lib/format/qcow2/qcow2.h"
#include "vmferry/open.h"

namespace vmferry {

/// An image of a chain that has just been opened, before those below it are.
struct SeenImage {
  const Source& store;
  ImageFormat format;
  bool was_probed;
  const Qcow2Header* qcow2;  ///< null for raw
};
using ImageSeen = std::function<void(const SeenImage&)>;

/// open_image(), telling of every image on the way, the top first; so the caller knows of those
/// that were opened even if one below them cannot be.
OpenImage open_chain(const Location& location, const SourceOptions& options, const ImageSeen& seen);

}  // namespace vmferry
