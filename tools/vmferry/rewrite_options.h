// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <CLI/CLI.hpp>

#include <optional>
#include <string>
#include <vector>

#include "vmferry/domain.h"
#include "vmferry/format.h"

namespace vmferry::cli {

/// Which disks go where, as the command line says it.
struct MoveOptions {
  std::vector<std::string> disks;  ///< "vda" or "vda=rbd:POOL/IMAGE"
  std::string pool;
  std::string name_template = "{domain}-{dev}";
  std::vector<std::string> to_files;  ///< "vda=/path"
  std::string format = ImageFormat().name();
  RbdTarget cluster;  ///< all but pool and image
  std::vector<std::string> monitors;
  DriverOptions driver;
  bool drop_encryption = false;
};

void add_move_options(CLI::App& app, MoveOptions& options);

/// Are the disks named, rather than all that can move?
inline bool names_disks(const MoveOptions& options) {
  return !options.disks.empty() || !options.to_files.empty();
}

/// What the options mean for this domain. Throws Error kUsage.
std::vector<DiskMove> make_moves(const Domain& domain, const MoveOptions& options);

}  // namespace vmferry::cli
