// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/rehearse/rehearsal_record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "lib/migrate/journal.h"
#include "lib/migrate/rehearsal_traces.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/file_text.h"
#include "vmferry/error.h"

namespace vmferry {
namespace rehearsal {
namespace {

using nlohmann::json;

constexpr int kRecordFormat = 1;

json as_json(const RehearsalThings& things) {
  json volumes = json::array();
  for (const RehearsalVolume& one : things.volumes) {
    volumes.push_back(
        {{"pool", one.volume.pool}, {"image", one.volume.image}, {"identity", one.identity}});
  }
  return {{"format", kRecordFormat},
          {"uri", things.uri},
          {"name", things.name},
          {"uuid", things.uuid},
          {"ceph",
           {{"conf", things.ceph.conf},
            {"id", things.ceph.id},
            {"keyring", things.ceph.keyring},
            {"cluster", things.ceph.cluster}}},
          {"volumes", volumes}};
}

RehearsalThings things_of(const json& record) {
  RehearsalThings things = {.uri = record.at("uri"),
                            .name = record.at("name"),
                            .uuid = record.at("uuid"),
                            .ceph = {},
                            .volumes = {}};
  const json& ceph = record.at("ceph");
  things.ceph.conf = ceph.at("conf");
  things.ceph.id = ceph.at("id");
  things.ceph.keyring = ceph.at("keyring");
  things.ceph.cluster = ceph.at("cluster");
  for (const json& one : record.at("volumes")) {
    things.volumes.push_back({.volume = {.pool = one.at("pool"), .image = one.at("image")},
                              .identity = one.at("identity")});
  }
  return things;
}

}  // namespace

RehearsalLock::RehearsalLock(std::string path, const std::string& domain) : path_(std::move(path)) {
  while (!take(domain)) {
  }
}

/// Who holds it takes its name away, so that nobody finds it any more.
RehearsalLock::~RehearsalLock() { ::unlink(path_.c_str()); }

/// False: the name went to another file meanwhile.
bool RehearsalLock::take(const std::string& domain) {
  UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) {
    throw errno_error(errno, path_, "create");
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      throw errno_error(errno, path_, "lock");
    }
    throw Error({.kind = ErrorKind::kConflict,
                 .object = "domain " + domain,
                 .action = "rehearse",
                 .cause = "another vmferry is rehearsing it",
                 .hint = "wait until that has ended"});
  }
  struct stat named = {};
  if (::stat(path_.c_str(), &named) != 0 ||
      identity_of(named) != identity_of(stat_fd(fd.get(), path_))) {
    return false;
  }
  fd_ = std::move(fd);
  return true;
}

namespace {

std::string lock_path(const std::string& domain, const std::string& state_dir) {
  migrate::make_state_directory(state_dir);
  return migrate::rehearsal_lock(domain, state_dir);
}

}  // namespace

RehearsalRecord::RehearsalRecord(const std::string& domain, const std::string& state_dir)
    : path_(rehearsal_record_path(domain, state_dir)), lock_(lock_path(domain, state_dir), domain) {
  read();
}

void RehearsalRecord::read() {
  const FileText file = read_small_file(path_);
  if (file.error == ENOENT) {
    return;
  }
  if (file.error != 0) {
    throw errno_error(file.error, path_, "read");
  }
  try {
    const json record = json::parse(file.text);
    if (record.at("format") != kRecordFormat) {
      throw Error({.kind = ErrorKind::kUnsupported,
                   .object = path_,
                   .action = "read what a rehearsal left",
                   .cause = "it is of another version of vmferry"});
    }
    left_ = things_of(record);
  } catch (const json::exception& error) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = path_,
                 .action = "read what a rehearsal left",
                 .cause = error.what(),
                 .hint = "remove the volumes of the rehearsal (rbd ls) by hand, then this file"});
  }
}

void RehearsalRecord::write(const RehearsalThings& things) const {
  try {
    migrate::replace_file(path_, as_json(things).dump(1) + "\n");
  } catch (const json::exception&) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = path_,
                 .action = "write down what the rehearsal makes",
                 .cause = "a name in it is not UTF-8"});
  }
}

void RehearsalRecord::remove() const {
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) {
    throw errno_error(errno, path_, "remove");
  }
}

}  // namespace rehearsal

std::string rehearsal_record_path(const std::string& domain, const std::string& state_dir) {
  return migrate::rehearsal_record(domain, state_dir);
}

}  // namespace vmferry
