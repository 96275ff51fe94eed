// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/ceph_client.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "lib/store/rbd_cluster.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// librados takes no operation back, so a stuck one must end by itself.
constexpr unsigned kOperationPatience = 4;  // times the time limit for monitors

std::string user_of(const RbdLocation& location, const CephOptions& options) {
  const auto found = location.options.find("id");
  if (found != location.options.end()) return found->second;
  return options.id.empty() ? "admin" : options.id;
}

std::string conf_of(const RbdLocation& location, const CephOptions& options) {
  const auto found = location.options.find("conf");
  return found != location.options.end() ? found->second : options.conf;
}

}  // namespace

CephClient::CephClient(const RbdLocation& location, const CephOptions& options)
    : location_(location), entity_("client." + user_of(location, options)) {
  const std::string cluster = options.cluster.empty() ? "ceph" : options.cluster;
  const int rc = rados_create2(&cluster_, cluster.c_str(), entity_.c_str(), 0);
  if (rc < 0) throw rbd_error(rc, location_, "set up a Ceph client");
  try {
    configure(options);
  } catch (...) {
    rados_shutdown(cluster_);
    throw;
  }
}

std::string CephClient::setting(const char* key) const {
  std::array<char, 4096> value = {};
  return rados_conf_get(cluster_, key, value.data(), value.size()) == 0 ? value.data() : "";
}

void CephClient::configure(const CephOptions& options) {
  auto set = [&](const std::string& key, const std::string& value) {
    const int rc = rados_conf_set(cluster_, key.c_str(), value.c_str());
    if (rc < 0) {
      throw rbd_error(rc, location_, fmt::format("set the Ceph option {}={}", key, value));
    }
  };
  const std::string conf = conf_of(location_, options);
  const int rc = rados_conf_read_file(cluster_, conf.empty() ? nullptr : conf.c_str());
  if (rc < 0 && !conf.empty()) {
    throw Error({.kind = rc == -ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo,
                 .object = conf,
                 .action = "read the Ceph configuration",
                 .cause = std::strerror(-rc),
                 .hint = "check --ceph-conf"});
  }
  rados_conf_parse_env(cluster_, nullptr);

  const std::string seconds = std::to_string(options.timeout);
  set("client_mount_timeout", seconds);
  set("rados_mon_op_timeout", seconds);
  set("rados_osd_op_timeout", std::to_string(options.timeout * kOperationPatience));
  // Our writes are whole objects already: a cache would only copy them.
  set("rbd_cache", "false");
  // Reading leaves the source alone: librbd would note the time in the volume's header.
  set("rbd_atime_update_interval", "0");
  // A library's own words on a terminal tell less than the error that follows.
  set("log_to_stderr", "false");
  set("err_to_stderr", "false");
  set("log_file", "");
  if (!options.keyring.empty()) set("keyring", options.keyring);
  for (const auto& [key, value] : location_.options) {
    if (key != "id" && key != "conf") set(key, value);
  }
}

void CephClient::connect() {
  if (setting("mon_host").empty()) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = location_.display(),
                 .action = "connect to the cluster",
                 .cause = "no configuration names its monitors",
                 .hint = "pass --ceph-conf FILE, or set CEPH_CONF"});
  }
  const int rc = rados_connect(cluster_);
  if (rc >= 0) return;
  ErrorParts parts = rbd_error(rc, location_, "connect to the cluster as " + entity_).parts();
  if (rc == -ENOENT) {
    parts.cause = "no key for this user found (looked in " + setting("keyring") + ")";
    parts.hint = "pass --keyring FILE, or another user with --id";
  } else if (rc == -ETIMEDOUT) {
    parts.cause = "the monitors did not answer in time (" + setting("mon_host") + ")";
    parts.hint = "check that they run and can be reached, and that the key is right";
  } else if (rc == -EACCES || rc == -EPERM) {
    parts.cause = "the monitors refused the key";
  }
  throw Error(std::move(parts));
}

}  // namespace vmferry
