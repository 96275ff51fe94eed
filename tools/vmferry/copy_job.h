// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "tools/vmferry/options.h"
#include "tools/vmferry/ui/session.h"
#include "vmferry/copy.h"
#include "vmferry/target.h"

namespace vmferry::cli {

struct CopyJob {
  std::string what;                         ///< of the copy, on the progress display
  std::optional<uint64_t> rate_limit = {};  ///< bytes a second
  bool source_in_use = false;               ///< it may change under the copy: that is meant
  bool verify = false;                      ///< read back and compare before it gets its name
  std::stop_token stop = {};
};

/// What is asked before relying on what was read. Throws Error when the source is not what was
/// opened; one in use may have been written.
void check_source(const Source& source, bool in_use);

/// Copies `source` into `sink` with progress on stderr, verifies if wanted, and publishes. Throws
/// Error; the sink is as it is then, and its destructor clears up.
CopyResult run_copy_job(Session& session, const RunOptions& run, const Source& source,
                        Target& target, const CopyJob& job);

}  // namespace vmferry::cli
