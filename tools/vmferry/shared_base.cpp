// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/shared_base.h"

#include <utility>

#include "tools/vmferry/ui/say.h"
#include "vmferry/base.h"

namespace vmferry::cli {

/// A digest of the copy wants all to be read in any case.
unsigned base_depth_of(const ImageCopy& job, const std::string& name,
                       const std::vector<std::shared_ptr<const Source>>& below,
                       std::stop_token stop, Observer& observer) {
  if (!job.to.base || below.empty() || job.digest) {
    return 0;
  }
  const unsigned depth =
      find_base_below(below, *job.to.base, job.to.network,
                      {.jobs = job.run.jobs, .stop = std::move(stop), .observer = &observer});
  if (depth == 0 && !job.run.quiet) {
    say_notice(name + ": no image below it is what " + job.to.base->display() +
               " holds, so all of it is read and compared");
  }
  return depth;
}

}  // namespace vmferry::cli
