// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <string>

#include "lib/store/file/unique_fd.h"
#include "vmferry/target.h"

namespace vmferry {

/// Notes in a file of their own, a line each: the key, a blank, the text. What comes later counts,
/// and a line without an end, as a kill leaves it, does not. One thread.
class FileNotes : public TargetNotes {
 public:
  explicit FileNotes(std::string path) : path_(std::move(path)) {}

  std::map<std::string, std::string> read() override;
  void write(const std::string& key, const std::string& text) override;
  /// They are not needed any more. Never fails: what stays the next run to this target removes.
  void remove() noexcept;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  UniqueFd fd_;  // open once something was written
};

}  // namespace vmferry
