// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>

#include "lib/core/unique_fd.h"
#include "lib/store/file/file_stamp.h"
#include "vmferry/target.h"

namespace vmferry {

/// The file that a new one will replace, if there is one. What was asked about it at the start is
/// asked again at the end, and held from then on: a guest that starts on it during the copy is not
/// kept from that, and the copy gives way. One thread.
class ReplacedFile {
 public:
  /// Looks at `path` and opens it. Throws Error if what is there may not be replaced: kConflict
  /// without options.force, or while somebody has it open for writing, or where the kernel will not
  /// let it be replaced (a mount point, an immutable file, another user's in a sticky directory).
  ReplacedFile(const std::string& path, const TargetOptions& options);

  /// Keeps QEMU from opening it until this is destroyed, and asks. Throws kConflict unless it still
  /// is the file that was there at the start, unchanged and unused. False: nothing was there, or it
  /// was removed meanwhile.
  bool lock_and_check_again() const;

 private:
  void refuse_if_in_use() const;

  const std::string path_;
  const bool assume_unused_;
  UniqueFd fd_;
  FileStamp stamp_;
};

}  // namespace vmferry
