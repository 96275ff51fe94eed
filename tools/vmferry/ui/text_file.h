// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tools/vmferry/ui/session.h"
#include "vmferry/target.h"

namespace vmferry::cli {

/// A whole file, or standard input for "-"; but no more than one byte beyond `most`, so that who
/// reads it can tell that it is too long. Throws Error.
std::string read_text_file(const std::string& path, size_t most);

/// Makes a file that holds `text`, under a temporary name first; see Target. Replaces an existing
/// one if `force`, but no device, and none of `sources`.
void write_text_file(Session& session, const std::string& path, const std::string& text, bool force,
                     const std::vector<Identity>& sources = {});

/// The same, replacing what is there, also where the run was asked to stop: for what must be kept.
void keep_text_file(const std::string& path, const std::string& text);

}  // namespace vmferry::cli
