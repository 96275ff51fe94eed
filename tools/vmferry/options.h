// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <CLI/CLI.hpp>

#include <optional>
#include <string>
#include <vector>

#include "tools/vmferry/ui/progress.h"
#include "vmferry/ceph.h"
#include "vmferry/format.h"
#include "vmferry/network.h"
#include "vmferry/open.h"

// Options that several commands have, each declared and explained once.

namespace vmferry::cli {

/// For CLI11: what is wrong with a Ceph user's name, or nothing.
std::string refuse_client_prefix(const std::string& id);

/// How to reach Ceph, and web servers.
void add_network_options(CLI::App& app, NetworkOptions& network);
/// Of Ceph, without --ceph-timeout: a migration waits as long as its guest can.
void add_cluster_options(CLI::App& app, CephOptions& ceph);
void add_layout_options(CLI::App& app, RbdLayout& layout);
/// Of new images in files.
void add_image_layout_options(CLI::App& app, ImageLayout& layout);
/// How one image is to be read: its format, a snapshot of it, its key. A command with two images
/// calls it twice: `suffix` "-b" makes --format-b (and the short -F), --snapshot-b and so on.
void add_image_options(CLI::App& app, const std::string& which, SourceOptions& image,
                       const std::string& suffix = {});
/// --allow-file, which names places where other files of an image may be.
void add_allow_option(CLI::App& app, std::vector<std::string>& prefixes);
/// What holds for all images of a command: --allow-file, --force-corrupt.
void add_trust_options(CLI::App& app, SourceOptions& image);
/// --source-in-use, of commands that say something about all the bytes of an image.
void add_in_use_option(CLI::App& app, bool& source_in_use);

struct RunOptions {
  unsigned jobs = 8;
  bool quiet = false;
  bool json = false;
  ProgressStyle progress = ProgressStyle::kAuto;

  ProgressStyle progress_style() const { return quiet ? ProgressStyle::kNone : progress; }
};
void add_run_options(CLI::App& app, RunOptions& run);

/// An option whose value is a size ("4M").
/// --rate-limit-file, beside --rate-limit.
void add_rate_file_option(CLI::App& app, std::string& path);

CLI::Option* add_size_option(CLI::App& app, const std::string& flags,
                             std::optional<uint64_t>& bytes, const std::string& help);

/// Prints an opened image's warnings to stderr, unless quiet.
void print_warnings(const OpenImage& image, bool quiet);

}  // namespace vmferry::cli
