// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/backing.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "vmferry/error.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;

Error refusal(ErrorKind kind, const Referrer& referrer, const std::string& file, std::string cause,
              std::string hint) {
  return Error({.kind = kind,
                .object = referrer.name,
                .action = "open its backing file '" + file + "'",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

/// Both resolved. A prefix ends where a name ends: /a does not allow /ab.
bool is_below(const fs::path& directory, const fs::path& path) {
  const auto [end, at] =
      std::mismatch(directory.begin(), directory.end(), path.begin(), path.end());
  return end == directory.end();
}

/// A name with a colon before any slash is a protocol to QEMU ("nbd:...", "json:{...}").
bool has_protocol(const std::string& name) {
  const size_t colon = name.find(':');
  return colon != std::string::npos && name.find('/') > colon;
}

fs::path resolve(const Referrer& referrer, const std::string& file, const fs::path& path) {
  std::error_code error;
  fs::path resolved = fs::canonical(path, error);
  if (error) {
    throw refusal(error.value() == ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo, referrer, file,
                  error.message(), "looked for " + path.string());
  }
  return resolved;
}

}  // namespace

std::string resolve_backing(const Referrer& referrer, const std::string& stored_name,
                            const OpenPolicy& policy) {
  std::string file = stored_name;
  if (file.starts_with("file:")) file.erase(0, 5);
  if (has_protocol(file)) {
    throw refusal(ErrorKind::kUnsupported, referrer, stored_name, "only plain files are opened",
                  "make a copy without a backing file first (qemu-img convert)");
  }
  fs::path path = file;
  if (path.is_relative()) {
    if (referrer.path.empty()) {
      throw refusal(ErrorKind::kUnsupported, referrer, stored_name,
                    "a relative name has no meaning in an image that is no file", "");
    }
    path = fs::path(referrer.path).parent_path() / path;
  }

  const fs::path lexical = fs::absolute(path).lexically_normal();
  const bool may_ask = referrer.format_named ||
                       std::any_of(policy.allowed_prefixes.begin(), policy.allowed_prefixes.end(),
                                   [](const std::string& prefix) { return !prefix.empty(); });
  if (!may_ask) {
    throw refusal(ErrorKind::kConflict, referrer, lexical.string(),
                  "the image was only probed as qcow2, so it may not open other files",
                  "pass -f qcow2 if you trust where this image comes from");
  }
  const fs::path resolved = resolve(referrer, lexical.string(), path);
  for (const std::string& prefix : policy.allowed_prefixes) {
    std::error_code error;
    const fs::path allowed = fs::weakly_canonical(prefix, error);
    if (!error && is_below(allowed.has_filename() ? allowed : allowed.parent_path(), resolved)) {
      return resolved.string();
    }
  }
  if (policy.only_allowed) {
    throw refusal(ErrorKind::kConflict, referrer, resolved.string(),
                  "it is not among the files that this image is known to be made of",
                  "compare the chain in the domain's definition with qemu-img info "
                  "--backing-chain");
  }
  if (!referrer.format_named) {
    throw refusal(
        ErrorKind::kConflict, referrer, resolved.string(),
        "the format of the image was only probed, so it may not open other files",
        "store the format in the image that refers to it (qemu-img rebase -u -F), or pass "
        "--allow-file " +
            resolved.string());
  }
  if (!referrer.path.empty()) {
    const fs::path home =
        resolve(referrer, resolved.string(), fs::absolute(referrer.path).parent_path());
    if (is_below(home, resolved)) return resolved.string();
  }
  throw refusal(ErrorKind::kConflict, referrer, resolved.string(),
                "it lies outside the image's own directory",
                "if it is meant, pass --allow-file " + resolved.string());
}

}  // namespace vmferry
