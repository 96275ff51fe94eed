// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/ceph_client.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <latch>
#include <thread>
#include <vector>

#include "lib/core/threads.h"
#include "lib/store/descriptors.h"
#include "lib/store/file/file_text.h"
#include "lib/store/rbd/ceph_args.h"
#include "lib/store/rbd/ceph_user_key.h"
#include "lib/store/rbd/rbd_cluster.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// librados takes no operation back, so a stuck one must end by itself.
constexpr unsigned kOperationPatience = 4;  // times the time limit for monitors

std::string option_of(const RbdLocation& location, const char* key) {
  const auto found = location.options.find(key);
  return found != location.options.end() ? found->second : "";
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string entity_of(const RbdLocation& location, const CephOptions& options,
                      const CephArgs& args) {
  if (const std::string id = option_of(location, "id"); !id.empty()) {
    return "client." + id;
  }
  if (!options.id.empty()) {
    return "client." + options.id;
  }
  return args.entity.empty() ? "client.admin" : args.entity;
}

/// Why librados could not use a file of that name. Itself it says ENOENT for most reasons.
std::string cause_of(const std::string& path, int rc) {
  const FileText file = read_small_file(path);
  if (file.error != 0) {
    return std::strerror(file.error);
  }
  // It takes a list of files, and cuts it there (get_str_list in Ceph's common/str_list.cc).
  if (rc == -ENOENT && path.find_first_of(";,= \t\n") != std::string::npos) {
    return "Ceph takes a ',', ';', '=' or space for the end of a name; name a link that has none";
  }
  return rc == -EINVAL ? "it is not in the form of a Ceph configuration" : std::strerror(-rc);
}

}  // namespace

/// The file that somebody named; without a path those that Ceph looks for by itself.
struct ConfigurationFile {
  std::string path;
  std::string named_by;
  std::string cluster;

  static ConfigurationFile choose(const RbdLocation& location, const CephOptions& options,
                                  const CephArgs& args) {
    std::string cluster = options.cluster.empty() ? args.cluster : options.cluster;
    if (cluster.empty()) {
      cluster = "ceph";
    }
    for (const auto& [path, named_by] :
         {std::pair{option_of(location, "conf"), "conf= in the name of the volume"},
          std::pair{options.conf, "--ceph-conf"}, std::pair{args.conf, "-c in CEPH_ARGS"},
          std::pair{variable("CEPH_CONF"), "the environment variable CEPH_CONF"}}) {
      if (!path.empty()) {
        return {path, named_by, cluster};
      }
    }
    return {"", "", cluster};
  }

  /// The first of the files Ceph looks for (CEPH_CONF_FILE_DEFAULT) that is there; "": none is.
  std::string first_default() const {
    const std::string name = cluster + ".conf";
    for (const std::string& each :
         {"/etc/ceph/" + name, variable("HOME") + "/.ceph/" + name, name}) {
      if (read_small_file(each).error != ENOENT) {
        return each;
      }
    }
    return "";
  }
};

CephClient::CephClient(const RbdLocation& location, const CephOptions& options)
    : location_(location), stall_timeout_(options.stall_timeout) {
  const CephArgs args = parse_ceph_args(variable("CEPH_ARGS"));
  const ConfigurationFile file = ConfigurationFile::choose(location, options, args);
  entity_ = entity_of(location, options, args);
  const int rc = rados_create2(&cluster_, file.cluster.c_str(), entity_.c_str(), 0);
  if (rc < 0) {
    throw rbd_error(rc, location_, "set up a Ceph client as " + entity_);
  }
  try {
    read(file);
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

void CephClient::read(const ConfigurationFile& file) {
  const bool named = !file.path.empty();
  const int rc = rados_conf_read_file(cluster_, named ? file.path.c_str() : nullptr);
  configured_ = rc >= 0;
  if (configured_) {
    return;
  }
  const std::string path = named ? file.path : file.first_default();
  if (path.empty()) {
    return;
  }
  // As in QEMU, nobody needs a file that was not asked for: a location can say all that is in it.
  if (!named && rc == -ENOENT) {
    unreadable_file_ = path + ": " + cause_of(path, rc);
    return;
  }
  throw Error({.kind = rc == -ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo,
               .object = path,
               .action = "read the Ceph configuration",
               .cause = cause_of(path, rc),
               .hint = named ? "check " + file.named_by : ""});
}

void CephClient::configure(const CephOptions& options) {
  auto set = [&](const std::string& key, const std::string& value) {
    const int rc = rados_conf_set(cluster_, key.c_str(), value.c_str());
    if (rc == -ENOENT) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = location_.display(),
                   .action = "set the Ceph option '" + key + "'",
                   .cause = "Ceph has no such option",
                   .hint = "after the volume come 'id=', 'conf=' and options of ceph.conf"});
    }
    if (rc < 0) {
      throw rbd_error(rc, location_, "set the Ceph option '" + key + "'");
    }
  };
  if (const int rc = rados_conf_parse_env(cluster_, nullptr); rc < 0) {
    throw rbd_error(rc, location_, "read the Ceph options in CEPH_ARGS");
  }

  const std::string seconds = std::to_string(options.timeout);
  set("client_mount_timeout", seconds);
  set("rados_mon_op_timeout", seconds);
  set("rados_osd_op_timeout", std::to_string(options.timeout * kOperationPatience));
  // Our writes are large already: a cache would only copy them.
  set("rbd_cache", "false");
  // librbd copies what it writes. Without that (which takes a tenth less processor time) it would
  // tell of a write that timed out only when its message lets go of the memory: with an OSD that
  // hangs, never.
  set("rbd_disable_zero_copy_writes", "true");
  // Reading leaves the source alone: librbd would note the time in the volume's header.
  set("rbd_atime_update_interval", "0");
  // A library's own words on a terminal tell less than the error that follows.
  set("log_to_stderr", "false");
  set("err_to_stderr", "false");
  set("log_file", "");
  if (!options.keyring.empty()) {
    set("keyring", options.keyring);
  }
  for (const auto& [key, value] : location_.options) {
    if (key != "id" && key != "conf") {
      set(key, value);
    }
  }
}

/// Without them librados dies of a signal, or waits for connections that it cannot make.
/// Connections to OSDs come later, one for each: room for those is only asked for, not insisted on.
void CephClient::require_descriptors() const {
  constexpr size_t kConnections = 4096;
  constexpr size_t kPerThread = 3;  // an epoll and both ends of a pipe (msg/async/Event.cc)
  constexpr size_t kOthers = 12;    // monitors, manager, an OSD, the bootstrap, files
  const std::string threads = setting("ms_async_op_threads");
  const size_t needed = kPerThread * std::strtoul(threads.c_str(), nullptr, 10) + kOthers;
  const size_t free = free_descriptors(kConnections);
  if (free >= needed) {
    return;
  }
  throw Error({.kind = ErrorKind::kIo,
               .object = location_.display(),
               .action = "connect to the cluster",
               .cause = fmt::format(
                   "too few file descriptors: a Ceph client needs {}, and one for each OSD; {} are "
                   "left to this process",
                   needed, free),
               .hint = "raise the limit: 'ulimit -n 4096', or LimitNOFILE= of a systemd unit"});
}

/// librados dies of a signal where it gets no thread (common/Thread.cc).
void CephClient::require_threads() const {
  constexpr size_t kNeeded = 24;
  std::latch asked(1);
  std::vector<std::jthread> threads;
  try {
    while (threads.size() < kNeeded) {
      threads.push_back(start_thread([&asked] { asked.wait(); }));
    }
  } catch (const Error& error) {
    asked.count_down();
    throw Error({.kind = ErrorKind::kIo,
                 .object = location_.display(),
                 .action = "connect to the cluster",
                 .cause = fmt::format(
                     "too few threads: a Ceph client needs {}, {} are left to this process",
                     kNeeded, threads.size()),
                 .hint = error.hint()});
  }
  asked.count_down();
}

void CephClient::connect() {
  require_descriptors();
  require_threads();
  // Where the monitors are is for librados to find: options, sections [mon.X], a file, or DNS.
  const int rc = rados_connect(cluster_);
  if (rc < 0) {
    throw connect_error(rc);
  }
}

/// librados takes this option at any time (Objecter::handle_conf_change).
void CephClient::allow_stalls() const {
  if (stall_timeout_) {
    rados_conf_set(cluster_, "rados_osd_op_timeout", std::to_string(*stall_timeout_).c_str());
  }
}

Error CephClient::connect_error(int rc) const {
  ErrorParts parts = rbd_error(rc, location_, "connect to the cluster as " + entity_).parts();
  const std::string monitors = setting("mon_host");
  if (rc == -ETIMEDOUT) {
    parts.cause = "the monitors did not answer in time";
    if (!monitors.empty()) {
      parts.cause += " (" + monitors + ")";
    }
    parts.hint = "check that they run and can be reached, and that the key is right";
    return Error(std::move(parts));
  }
  // librados gives the same codes for want of monitors, of a key, and for files it cannot read.
  const KeySearch search = find_user_key(*this);
  const std::string monmap = setting("monmap");
  const bool no_place_for_monitors = monitors.empty() && !configured_;
  if (rc == -ENOENT && (search.key || no_place_for_monitors)) {
    parts.cause =
        monmap.empty() ? "no configuration names its monitors" : "no monitors found in " + monmap;
    if (!unreadable_file_.empty()) {
      parts.cause += " (" + unreadable_file_ + ")";
    }
    parts.hint = "pass --ceph-conf FILE, or set CEPH_CONF";
  } else if (rc == -ENOENT && monitors.empty() && monmap.empty()) {
    // Monitors may be in sections [mon.X] or in DNS, which librados tells nobody.
    parts.cause = "no configuration names its monitors, or " + search.failure;
    parts.hint = "check --ceph-conf (or CEPH_CONF) and --keyring";
  } else if (!search.key) {
    parts.cause = search.failure;
    parts.hint = "pass --keyring FILE, or another user with --id";
  } else if (rc == -EACCES || rc == -EPERM) {
    parts.cause = "the monitors refused the key";
  } else if (rc == -EINVAL) {
    parts.cause = "Ceph cannot use the addresses of its monitors (" + monitors + ") or the key";
    parts.hint = "check mon_host, and the key of " + entity_;
  }
  return Error(std::move(parts));
}

}  // namespace vmferry
