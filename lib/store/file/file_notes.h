// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "lib/core/unique_fd.h"
#include "vmferry/target.h"

namespace vmferry {

/// Notes in a file of their own, a line each: the key, a blank, the text. What comes later counts,
/// and a line without an end, as a kill leaves it, does not. One thread.
class FileNotes : public TargetNotes {
 public:
  /// What 45 TiB of data need; what is beyond that is copied again.
  static constexpr size_t kMostBytes = 256 << 20;

  /// Notes of more than `most_bytes` are read in part, whoever wrote them.
  explicit FileNotes(std::string path, size_t most_bytes = kMostBytes)
      : path_(std::move(path)), most_bytes_(most_bytes) {}

  std::map<std::string, std::string> read() override;
  void write(const std::string& key, const std::string& text) override;
  /// They are not needed any more. Never fails: what stays the next run to this target removes.
  void remove() noexcept;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  const size_t most_bytes_;
  UniqueFd fd_;  // open once something was written
};

}  // namespace vmferry
