// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/running_guest.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "lib/core/blocking_call.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"
#include "vmferry/host.h"

namespace vmferry::cli {
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

std::string path_of(Host& host, const DiskImage& image) {
  if (image.type == "file" || image.type == "block") {
    return image.path;
  }
  if (image.type != "volume") {
    return {};
  }
  try {
    return host.volume_path(image.pool, image.volume);
  } catch (const Error&) {
    return {};  // in a pool that is not there any more
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
      const std::string used = path_of(host, image);
      if (!used.empty() && fs::equivalent(used, path, not_there)) {
        return true;
      }
    }
  }
  return false;
}

/// The domain that uses the file; empty: none.
std::string find_user(const std::string& uri, const std::string& path) {
  const std::shared_ptr<Host> host = connect_host(uri);
  for (const std::string& domain : host->active_domains()) {
    try {
      if (uses(*host, domain, path)) {
        return domain;
      }
    } catch (const Error& error) {
      if (error.parts().kind != ErrorKind::kNotFound) {
        throw;  // it has just ended
      }
    }
  }
  return {};
}

/// Nothing: no answer in time.
std::optional<std::string> ask(Session& session, const std::string& uri, const std::string& path,
                               milliseconds patience) {
  const auto user = std::make_shared<std::string>();
  BlockingCall call([user, uri, path] { *user = find_user(uri, path); });
  for (milliseconds waited{0}; !call.wait(kLook); waited += kLook) {
    if (session.stop().stop_requested()) {
      throw cancelled_error();
    }
    if (waited >= patience) {
      return std::nullopt;
    }
  }
  call.result();
  return *user;
}

std::optional<std::string> ask_default(Session& session, const std::string& path) {
  const std::optional<std::string> uri = default_uri();
  if (!uri) {
    return std::nullopt;
  }
  try {
    return ask(session, *uri, path, kPatienceDefault);
  } catch (const Error& error) {
    if (error.parts().kind == ErrorKind::kCancelled) {
      throw;
    }
    return std::nullopt;  // nobody said that there is a libvirt
  }
}

}  // namespace

void refuse_running_guest(Session& session, const Location& image, const std::string& uri) {
  const std::string& path = image.path();
  if (path.empty()) {
    return;
  }
  const std::optional<std::string> user =
      uri.empty() ? ask_default(session, path) : ask(session, uri, path, kPatienceNamed);
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

}  // namespace vmferry::cli
