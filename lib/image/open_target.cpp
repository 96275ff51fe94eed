// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "lib/store/file_io.h"
#include "lib/store/file_sink.h"
#include "lib/store/rbd.h"
#include "vmferry/error.h"
#include "vmferry/open.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;

void refuse_source_as_target(const std::string& path, const struct stat& status,
                             const TargetOptions& options) {
  const auto& sources = options.sources;
  if (std::find(sources.begin(), sources.end(), identity_of(status)) == sources.end()) return;
  throw Error({.kind = ErrorKind::kConflict,
               .object = path,
               .action = "open as a target",
               .cause = "it is being read as the source, or stands behind it",
               .hint = "choose another target"});
}

void refuse_reflink(const std::string& name, const TargetOptions& options) {
  if (options.reflink != Reflink::kAlways) return;
  throw Error({.kind = ErrorKind::kUsage,
               .object = name,
               .action = "open as a target",
               .cause = "only a file can share the blocks of another file",
               .hint = "leave out --reflink always"});
}

std::unique_ptr<Sink> open_path_target(std::string path, const TargetOptions& options) {
  // A link stays a link: what it points to is replaced.
  std::error_code error;
  if (fs::is_symlink(path, error)) path = fs::weakly_canonical(path).string();
  struct stat status;
  if (::stat(path.c_str(), &status) == 0) {
    refuse_source_as_target(path, status, options);
    if (S_ISBLK(status.st_mode)) {
      refuse_reflink(path, options);
      return open_device_sink(path, options);
    }
  }
  return open_file_sink(path, options);
}

}  // namespace

std::unique_ptr<Sink> open_target(const Location& location, const TargetOptions& options) {
  if (const auto* rbd = std::get_if<RbdLocation>(&location)) {
    refuse_reflink(rbd->display(), options);
    return open_rbd_sink(*rbd, options);
  }
  return open_path_target(std::get<PathLocation>(location).path, options);
}

}  // namespace vmferry
