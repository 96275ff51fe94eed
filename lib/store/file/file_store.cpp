// SPDX-License-Identifier: LGPL-2.1-or-later
#include <filesystem>

#include "lib/store/address.h"
#include "lib/store/file/file_notes.h"
#include "lib/store/file/file_source.h"
#include "lib/store/file/file_sparsify.h"
#include "lib/store/file/file_target.h"
#include "lib/store/file/image_lock.h"
#include "lib/store/file/temporary_file.h"
#include "lib/store/stores.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

const std::string& path_of(const Location& location) {
  return location.inside<PathLocation>().path;
}

Error malformed(std::string object, std::string cause) {
  return Error({.kind = ErrorKind::kUsage,
                .object = std::move(object),
                .action = {},
                .cause = std::move(cause)});
}

std::optional<Location> parse(std::string_view text) {
  constexpr std::string_view kScheme = "file:";
  if (is_address(text)) {
    return std::nullopt;
  }
  std::string path(text.starts_with(kScheme) ? text.substr(kScheme.size()) : text);
  if (path.empty()) {
    throw malformed("''", "does not name a file");
  }
  if (path.find('\0') != std::string::npos) {
    throw malformed(path, "contains a NUL byte");
  }
  return PathLocation{std::move(path)};
}

std::string qemu_name(const Location& location, const NetworkOptions& /*network*/) {
  return std::filesystem::absolute(path_of(location)).string();
}

}  // namespace

const Store kFileStore = {
    .parse = parse,
    .path = path_of,
    .open = [](const Location& at, const NetworkOptions&) { return open_file_source(path_of(at)); },
    .check_target = [](const Location& at,
                       const TargetOptions& options) { check_path_target(path_of(at), options); },
    .create = [](const Location& at,
                 const TargetOptions& options) { return open_path_target(path_of(at), options); },
    .makes_files = true,
    .unfinished_notes =
        [](const Location& at, const NetworkOptions&) {
          return FileNotes(notes_path(follow_links(path_of(at)))).read();
        },
    .remove_unfinished = [](const Location& at, const NetworkOptions&,
                            std::stop_token) { remove_unfinished_file(follow_links(path_of(at))); },
    .sparsify = [](const Location& at, const InPlaceOptions& options,
                   Progress& progress) { return sparsify_file(path_of(at), options, progress); },
    .sparsify_can_rehearse = true,
    .refuse_writers =
        [](const Location& at) {
          constexpr bool kReadingOnly = true;  // what cannot be asked is no reason not to read
          refuse_open_for_writing(path_of(at), kReadingOnly);
        },
    .refuse_users = [](const Location& at,
                       bool assume_unused) { open_to_change(path_of(at), assume_unused); },
    .allocated = [](const Location& at, const NetworkOptions&) { return file_bytes(path_of(at)); },
    .qemu_name = qemu_name,
};

}  // namespace vmferry
