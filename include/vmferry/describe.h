// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/image_facts.h"
#include "vmferry/inspect.h"
#include "vmferry/location.h"
#include "vmferry/open.h"

// What an image is, as plain values. All texts are fit to print.

namespace VMFERRY_API vmferry {

struct ImageInfo {
  /// The image, its backing image and so on: as far as they could be opened, at least one.
  std::vector<ImageFacts> chain;
  std::optional<Contents> contents;
  /// Why the chain ends early or the contents could not be looked at; empty: nothing went wrong.
  std::string problem;
  std::string hint;
  std::vector<std::string> warnings;
};

/// Describes the image at `location`. Reads tables and the beginnings of partitions, no more.
/// Throws Error if the image itself cannot be opened, or its format's header makes no sense; what
/// goes wrong after that is a `problem`. Throws kCancelled when stopped.
ImageInfo describe(const Location& location, const SourceOptions& options, std::stop_token stop);

}  // namespace VMFERRY_API vmferry
