// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "vmferry/image_facts.h"
#include "vmferry/open.h"

namespace vmferry {

/// An image of a chain whose file has just been opened; its header was not looked at, and those
/// below it are not open.
struct SeenImage {
  const Source& store;
  ImageFormat format;
  bool was_probed;
  /// Not an image of its own, but a file with data of the one before.
  bool is_extent = false;
};
using ImageSeen = std::function<void(const SeenImage&)>;

/// open_image(), telling of every image on the way, the top first; so the caller knows of those
/// that were opened even if one below them cannot be.
OpenImage open_chain(const Location& location, const SourceOptions& options, const ImageSeen& seen);

/// What its format and its store tell of it. What cannot be read is added to `damage`. Throws Error
/// where the header makes no sense.
ImageFacts facts_of(const SeenImage& seen, std::vector<std::string>& damage);

}  // namespace vmferry
