// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/backing.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <utility>

#include "lib/core/printable.h"
#include "lib/image/json_name.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;

/// One name that an image gives to another file, on its way to a path that may be opened.
struct Naming {
  const Referrer& referrer;
  const OpenPolicy& policy;
  const char* role;  ///< "backing file"
  bool needs_prefix = false;
  std::string own_names = {};  ///< in a hint: those that an image may open that was only probed

  Error refusal(ErrorKind kind, const std::string& file, std::string cause,
                std::string hint = {}) const {
    return Error({.kind = kind,
                  .object = referrer.name,
                  .action = "open its " + std::string(role) + " '" + printable(file) + "'",
                  .cause = std::move(cause),
                  .hint = std::move(hint)});
  }
};

/// Both resolved. A prefix ends where a name ends: /a does not allow /ab.
bool is_below(const fs::path& directory, const fs::path& path) {
  const auto [end, at] =
      std::mismatch(directory.begin(), directory.end(), path.begin(), path.end());
  return end == directory.end();
}

/// A name with a colon before any slash is a protocol to QEMU ("nbd:...").
bool has_protocol(const std::string& name) {
  const size_t colon = name.find(':');
  return colon != std::string::npos && name.find('/') > colon;
}

fs::path resolve(const Naming& naming, const std::string& file, const fs::path& path) {
  std::error_code error;
  fs::path resolved = fs::canonical(path, error);
  if (error) {
    throw naming.refusal(error.value() == ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo, file,
                         error.message(), "looked for " + path.string());
  }
  return resolved;
}

bool is_allowed(const OpenPolicy& policy, const fs::path& resolved) {
  return std::any_of(policy.allowed_prefixes.begin(), policy.allowed_prefixes.end(),
                     [&](const std::string& prefix) {
                       std::error_code error;
                       const fs::path allowed = fs::weakly_canonical(prefix, error);
                       if (prefix.empty() || error) {
                         return false;
                       }
                       return is_below(allowed.has_filename() ? allowed : allowed.parent_path(),
                                       resolved);
                     });
}

/// Judges without a look at the file system: an image that may open nothing cannot even be used to
/// ask which files exist.
void refuse_unasked(const Naming& naming, const std::string& lexical) {
  const bool has_prefixes =
      std::any_of(naming.policy.allowed_prefixes.begin(), naming.policy.allowed_prefixes.end(),
                  [](const std::string& prefix) { return !prefix.empty(); });
  if (has_prefixes) {
    return;
  }
  if (!naming.referrer.format_named) {
    const std::string& format = naming.referrer.format;
    throw naming.refusal(
        ErrorKind::kConflict, lexical,
        "the image was only probed as " + format + ", so it may not open other files",
        "pass -f " + format + " if you trust where this image comes from" + naming.own_names +
            (naming.needs_prefix ? ", and --allow-file " + printable(lexical) : std::string()));
  }
  if (naming.needs_prefix) {
    throw naming.refusal(ErrorKind::kConflict, lexical,
                         std::string("an image may not choose its ") + naming.role,
                         "if it is meant, pass --allow-file " + printable(lexical));
  }
}

/// Of a relative name the working directory is a part, and that may be gone.
fs::path absolute_of(const Naming& naming, const fs::path& path) {
  std::error_code error;
  fs::path absolute = fs::absolute(path, error);
  if (!error) {
    return absolute;
  }
  throw naming.refusal(ErrorKind::kIo, path.string(), "the working directory: " + error.message(),
                       "start in a directory that exists and may be read");
}

std::string judge(const Naming& naming, const fs::path& path) {
  const std::string lexical = absolute_of(naming, path).lexically_normal().string();
  refuse_unasked(naming, lexical);
  const fs::path resolved = resolve(naming, lexical, path);
  if (is_allowed(naming.policy, resolved)) {
    return resolved.string();
  }
  const std::string allow = "--allow-file " + printable(resolved.string());
  if (naming.needs_prefix) {
    throw naming.refusal(ErrorKind::kConflict, resolved.string(),
                         std::string("an image may not choose its ") + naming.role,
                         "if it is meant, pass " + allow);
  }
  if (naming.policy.only_allowed) {
    throw naming.refusal(ErrorKind::kConflict, resolved.string(),
                         "it is not among the files that this image is known to be made of",
                         "compare the chain in the domain's definition with qemu-img info "
                         "--backing-chain");
  }
  const Referrer& referrer = naming.referrer;
  if (!referrer.format_named) {
    throw naming.refusal(
        ErrorKind::kConflict, resolved.string(),
        "the format of the image was only probed, so it may not open other files",
        "store the format in the image that refers to it (qemu-img rebase -u -F), or pass " +
            allow);
  }
  if (!referrer.path.empty()) {
    const fs::path home =
        resolve(naming, resolved.string(), absolute_of(naming, referrer.path).parent_path());
    if (is_below(home, resolved)) {
      return resolved.string();
    }
  }
  throw naming.refusal(ErrorKind::kConflict, resolved.string(),
                       "it lies outside the image's own directory",
                       "if it is meant, pass " + allow);
}

fs::path beside_image(const Naming& naming, const std::string& file) {
  fs::path path = file;
  if (path.is_absolute()) {
    return path;
  }
  if (naming.referrer.path.empty()) {
    throw naming.refusal(ErrorKind::kUnsupported, file,
                         "a relative name has no meaning in an image that is not a file");
  }
  return fs::path(naming.referrer.path).parent_path() / path;
}

void refuse_protocol(const Naming& naming, const std::string& name, const std::string& stored) {
  if (!has_protocol(name)) {
    return;
  }
  throw naming.refusal(ErrorKind::kUnsupported, stored, "only plain files are opened",
                       "make a copy that needs no other file first (qemu-img convert)");
}

std::string without_file_prefix(const std::string& name) {
  return name.starts_with("file:") ? name.substr(5) : name;
}

/// Has the file that `referrer` lists a name that was made of its own, as VMware makes them?
bool is_own_extent(const Referrer& referrer, std::string_view name) {
  const std::string own = fs::path(referrer.path).stem().string();
  const std::string end = "." + referrer.format;
  if (own.empty() || !name.starts_with(own) || !name.ends_with(end) ||
      name.size() < own.size() + end.size()) {
    return false;
  }
  const std::string_view word = name.substr(own.size(), name.size() - own.size() - end.size());
  constexpr size_t kLeastNumbered = 5;  // "-s001"
  const bool is_numbered = word.size() >= kLeastNumbered &&
                           (word.starts_with("-s") || word.starts_with("-f")) &&
                           word.find_first_not_of("0123456789", 2) == std::string_view::npos;
  return word == "-flat" || is_numbered;
}

/// " (without it ...)", for a hint.
std::string own_extents(const Referrer& referrer, bool no_guest_wrote_it) {
  if (!no_guest_wrote_it || referrer.path.empty()) {
    return {};
  }
  const std::string own = printable(fs::path(referrer.path).stem().string());
  return " (without it, only extents with names such as " + own + "-flat." + referrer.format +
         " and " + own + "-s001." + referrer.format + " are opened)";
}

}  // namespace

Reference resolve_backing(const Referrer& referrer, const std::string& stored_name,
                          const std::optional<std::string>& stored_format,
                          const OpenPolicy& policy) {
  const Naming naming{referrer, policy, "backing file"};
  if (const auto node = parse_json_name(stored_name)) {
    if (!node->cause.empty()) {
      throw naming.refusal(ErrorKind::kUnsupported, stored_name, node->cause,
                           "give it a plain name: qemu-img rebase -u -b FILE -F FORMAT");
    }
    if (node->format && stored_format && *node->format != *stored_format) {
      throw naming.refusal(ErrorKind::kCorrupt, stored_name,
                           "the image says that its format is '" + printable(*stored_format) +
                               "', and the name says '" + *node->format + "'");
    }
    return {judge(naming, absolute_of(naming, node->file)),
            node->format ? node->format : stored_format};
  }
  const std::string file = without_file_prefix(stored_name);
  refuse_protocol(naming, file, stored_name);
  return {judge(naming, beside_image(naming, file)), stored_format};
}

std::string resolve_data_file(const Referrer& referrer, const std::string& stored_name,
                              const OpenPolicy& policy) {
  const Naming naming{referrer, policy, "external data file", true};
  const std::string file = without_file_prefix(stored_name);
  refuse_protocol(naming, file, stored_name);
  return judge(naming, beside_image(naming, file));
}

std::string resolve_extent(const Referrer& referrer, const std::string& stored_name,
                           bool no_guest_wrote_it, const OpenPolicy& policy) {
  Referrer trusted = referrer;
  trusted.format_named |= no_guest_wrote_it && is_own_extent(referrer, stored_name);
  const Naming naming{trusted, policy, "extent", false, own_extents(referrer, no_guest_wrote_it)};
  std::string path = judge(naming, beside_image(naming, stored_name));
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    throw naming.refusal(ErrorKind::kUnsupported, path, "it is not a regular file");
  }
  return path;
}

}  // namespace vmferry
