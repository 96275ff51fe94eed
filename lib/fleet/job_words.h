// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>

#include "lib/fleet/job_run.h"

namespace vmferry::fleet {

/// What `vmferry migrate --progress json` says on standard error, line by line. One thread.
class JobWords {
 public:
  void add(const std::string& line);

  /// How far it is; nothing: it did not say yet.
  const std::optional<JobNews>& news() const { return news_; }
  /// Something may have been changed.
  bool has_begun() const { return news_.has_value(); }
  /// The guest ran, and is off because of this.
  bool has_shut_down() const { return has_shut_down_; }
  /// Why it ended with that status: checks that failed, or its last message.
  std::string error(int status) const;
  const std::string& hint() const { return hint_; }

 private:
  std::optional<JobNews> news_;
  bool has_shut_down_ = false;
  std::string checks_;
  std::string error_;
  std::string hint_;
};

}  // namespace vmferry::fleet
