// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>

#include "lib/core/unique_fd.h"
#include "lib/store/file/file_notes.h"
#include "vmferry/error.h"

namespace vmferry {

/// What the name of an unfinished copy ends with, of a file or a volume.
inline constexpr const char* kPartialSuffix = ".vmferry-partial";

/// The name under which the file `path` grows until it is complete: ".NAME.vmferry-partial" beside
/// it. A name of more than 200 bytes is cut at a character and told from its like by a hash.
std::string partial_path(const std::string& path);
/// Where its notes are meanwhile.
std::string notes_path(const std::string& path);
/// Is it such a name?
bool is_partial_path(const std::string& path);

/// Removes what a run that died left under that name, and its notes. kConflict: such a run is at
/// work. Throws Error.
void remove_unfinished_file(const std::string& path);

/// A file that grows under its temporary name and then gets its own. It is locked (flock) from
/// before its first byte until it is closed, so nobody takes it for a left-over of a killed run,
/// and all that is done by name is done only while the name still leads to it. One thread.
class TemporaryFile {
 public:
  enum class LeftOver { kRemove, kAdopt };
  /// Makes the file, empty; a left-over is removed first, or adopted as it is. One that is locked
  /// is another run's: kConflict. Throws Error about `path`. `notice` (may be empty) is told what
  /// cannot be removed, and of an unfinished copy that was.
  TemporaryFile(std::string path, std::function<void(const std::string&)> notice,
                LeftOver left_over = LeftOver::kRemove);
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  /// Removes what was not published.
  ~TemporaryFile();

  int fd() const { return fd_.get(); }
  const std::string& name() const { return temporary_; }
  /// It is what another run has left.
  bool adopted() const { return adopted_; }
  /// What is written down about it, in a file beside it that goes with it.
  FileNotes& notes() { return notes_; }
  /// It stays when this is destroyed.
  void keep() { kept_ = true; }
  bool published() const { return published_; }

  /// Tries the end of publish() on an empty file in the same directory, so that what would fail
  /// there fails now. Throws Error; kUnsupported where a file cannot get a name without replacing
  /// who has it, unless that may be.
  void rehearse_publish(bool may_replace);

  /// Gives it its own name. With `replace` what has that name is replaced, otherwise the name must
  /// be free (kConflict). Makes that durable; if only this fails the Error says that the file is
  /// complete.
  void publish(bool replace);

 private:
  /// Nothing: it could not be looked at.
  std::optional<bool> has_name(const std::string& name) const;
  Error taken_away() const;
  UniqueFd open_locked(LeftOver left_over);
  void remove_left_over(const struct stat& left);
  void make_durable();

  const std::string path_;
  const std::string temporary_;
  const std::function<void(const std::string&)> notice_;
  FileNotes notes_;
  bool adopted_ = false;
  UniqueFd fd_;
  bool kept_ = false;
  bool knows_free_names_ = true;  ///< a name can be taken only if it is free
  bool published_ = false;
};

}  // namespace vmferry
