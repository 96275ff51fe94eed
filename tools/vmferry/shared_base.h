// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "tools/vmferry/image_copy.h"
#include "vmferry/observer.h"

namespace vmferry::cli {

/// TransferOptions::base_depth of a copy: `below` is OpenImage::below of the source, and `name` its
/// name. Says so where no image below the source is what the base holds. Throws Error.
unsigned base_depth_of(const ImageCopy& job, const std::string& name,
                       const std::vector<std::shared_ptr<const Source>>& below,
                       std::stop_token stop, Observer& observer);

}  // namespace vmferry::cli
