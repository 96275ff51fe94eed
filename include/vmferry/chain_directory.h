// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/format.h"
#include "vmferry/history.h"
#include "vmferry/location.h"
#include "vmferry/network.h"
#include "vmferry/source.h"

// A directory with states of one disk: the first one as an image of its own, each later one as an
// image over the one before, which has what has changed since. NAME-01-POINT.qcow2 is the first;
// each has in its header which state it holds (ImageLink), so the files are all there is to know.

namespace VMFERRY_API vmferry {

/// An image of such a chain.
struct ChainLink {
  std::string path;
  unsigned number = 0;  ///< from 1 on
  /// The state that it says it holds; nothing: none that was kept.
  std::optional<Point> point = {};
  std::shared_ptr<const Source> disk = nullptr;  ///< with all that shows through
  std::vector<Identity> opened = {};             ///< it and those below
};

/// Images of a chain lie one over the other, and all of them are opened to read the newest. More
/// are not made.
constexpr unsigned kMostChainLinks = 200;

/// The first format whose images can lie over others.
ImageFormat chain_format();

/// What the files of a disk are called: the last part of its name, without what tells a snapshot,
/// in letters, digits, '.', '_', '+' and '-'.
std::string chain_name(const Location& disk);

/// The path of a link. Of a state that was not kept: "now" is its name.
std::string chain_link_path(const std::string& directory, const std::string& name, unsigned number,
                            const std::optional<Point>& point, const ImageFormat& format);

/// The link with the highest number; nothing: there is none. Throws Error, also kConflict: there
/// are two with that number, or somebody writes to one.
std::optional<ChainLink> open_newest_link(const std::string& directory, const std::string& name,
                                          const ImageFormat& format, const NetworkOptions& network);

}  // namespace VMFERRY_API vmferry
