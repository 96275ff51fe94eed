// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/in_use.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "lib/core/blocking_call.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kPatienceNamed{10'000};
constexpr milliseconds kPatienceDefault{3'000};
constexpr milliseconds kLook{100};

/// What libvirt would connect to by itself, as long as that starts no daemon.
std::optional<std::string> default_uri() {
  if (std::getenv("LIBVIRT_DEFAULT_URI") != nullptr) {
    return "";
  }
  for (const char* socket : {"/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"}) {
    if (::access(socket, R_OK | W_OK) == 0) {
      return "qemu:///system";
    }
  }
  return std::nullopt;
}

std::string path_if_known(Host& host, const DiskImage& image) {
  try {
    return path_of(host, image);
  } catch (const Error&) {
    return {};  // in a pool that is not there any more, or that has no paths
  }
}

bool uses(Host& host, const std::string& domain, const std::string& path) {
  const Domain definition =
      parse_domain(host.guest(domain)->definition(DefinitionKind::kLive), domain);
  for (const DomainDisk& disk : definition.disks) {
    std::vector<DiskImage> chain = {disk.image};
    chain.insert(chain.end(), disk.backing.begin(), disk.backing.end());
    for (const DiskImage& image : chain) {
      std::error_code not_there;
      const std::string used = path_if_known(host, image);
      if (!used.empty() && fs::equivalent(used, path, not_there)) {
        return true;
      }
    }
  }
  return false;
}

/// Nothing: no answer in time.
std::optional<std::string> ask(const std::string& uri, const std::string& path,
                               milliseconds patience, const std::stop_token& stop) {
  const auto user = std::make_shared<std::string>();
  BlockingCall call([user, uri, path] { *user = running_user(*connect_host(uri), path); });
  for (milliseconds waited{0}; !call.wait(kLook); waited += kLook) {
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    if (waited >= patience) {
      return std::nullopt;
    }
  }
  call.result();
  return *user;
}

std::optional<std::string> ask_default(const std::string& path, const std::stop_token& stop) {
  const std::optional<std::string> uri = default_uri();
  if (!uri) {
    return std::nullopt;
  }
  try {
    return ask(*uri, path, kPatienceDefault, stop);
  } catch (const Error& error) {
    if (error.parts().kind == ErrorKind::kCancelled) {
      throw;
    }
    return std::nullopt;  // nobody said that there is a libvirt
  }
}

}  // namespace

std::string path_of(Host& host, const DiskImage& image) {
  if (image.type != "volume") {
    return image.type == "file" || image.type == "block" ? image.path : std::string();
  }
  std::string path = host.volume_path(image.pool, image.volume);
  if (path.starts_with('/')) {
    return path;
  }
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = image.display(),
               .action = {},
               .cause = "is not a file or block device; its storage pool calls it " + path,
               .hint = "a disk of an RBD pool is on RBD already; leave it out with --disk"});
}

std::string running_user(Host& host, const std::string& path) {
  for (const std::string& domain : host.active_domains()) {
    try {
      if (uses(host, domain, path)) {
        return domain;
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kNotFound) {  // it has just ended
        throw;
      }
    }
  }
  return {};
}

void refuse_running_guest(const Location& image, const std::string& uri, std::stop_token stop) {
  const std::string& path = image.path();
  if (path.empty()) {
    return;
  }
  const std::optional<std::string> user =
      uri.empty() ? ask_default(path, stop) : ask(uri, path, kPatienceNamed, stop);
  if (!user && !uri.empty()) {
    throw Error({.kind = ErrorKind::kIo,
                 .object = uri,
                 .action = "ask which machines run",
                 .cause = "libvirt does not answer",
                 .hint = "without --connect only the image's locks are looked at"});
  }
  if (!user || user->empty()) {
    return;
  }
  throw Error({.kind = ErrorKind::kConflict,
               .object = path,
               .action = {},
               .cause = "the running machine '" + *user + "' uses it",
               .hint = "shut it down first; a paused one counts as running"});
}

}  // namespace vmferry
