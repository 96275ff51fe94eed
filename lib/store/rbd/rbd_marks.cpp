// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_marks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "lib/core/printable.h"
#include "lib/core/utc_time.h"
#include "lib/core/utf8.h"
#include "lib/store/rbd/rbd_cluster.h"
#include "lib/store/rbd/rbd_facts.h"

namespace vmferry {
namespace {

constexpr size_t kLongestName = 200;  // bytes; those of a qcow2 image can have 65535
// Bytes of a name that are written down, in the volume's header; and of a record, at most: JSON
// escapes some of them.
constexpr size_t kLongestRecordedName = 4 << 10;
constexpr size_t kLongestRecord = 8 * kLongestRecordedName;

// Empty: it is being made. A record that was written before there was this has none.
constexpr const char* kSnapshot = "snapshot";

std::string key_of(const std::string& name) { return "vmferry-snapshot." + name; }

/// The name as Ceph can carry it. An at sign and a slash mean something else there.
std::string rbd_snapshot_name(const std::string& wanted, const std::set<std::string>& taken) {
  std::string name = printable(wanted);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '@' || c == '/'; }, '_');
  name = std::string(utf8_cut(name, kLongestName));
  if (name.empty()) {
    name = "unnamed";
  }
  std::string unique = name;
  for (size_t number = 2; taken.contains(unique); ++number) {
    unique = fmt::format("{}-{}", name, number);
  }
  return unique;
}

/// What a record says of the state; `snapshot`: what stands for it, by its number.
std::string record_of(const Point& point, const std::optional<std::string>& snapshot) {
  const std::string& name = point.first_name.empty() ? point.name : point.first_name;
  nlohmann::ordered_json record = {{"name", printable(name.substr(0, kLongestRecordedName))},
                                   {"id", printable(point.id.substr(0, kLongestRecordedName))}};
  if (point.seconds) {
    record["date"] = utc_time({.tv_sec = *point.seconds, .tv_nsec = 0});
  }
  record["vm_state_bytes"] = point.vm_state_bytes;
  if (snapshot) {
    record[kSnapshot] = *snapshot;
  }
  return record.dump();
}

Error snapshot_in_use(const RbdLocation& location, const SnapshotFacts& snapshot) {
  RbdLocation named = location;
  named.snapshot = snapshot.name;
  return Error(
      {.kind = ErrorKind::kConflict,
       .object = location.display(),
       .action = "remove the snapshot '" + printable(snapshot.name) + "'",
       .cause = snapshot.is_protected ? "somebody has protected it"
                                      : "a clone of it, or a client, uses it",
       .hint = (snapshot.is_protected ? "run: rbd snap unprotect " : "see who: rbd children ") +
               printable(named.ceph_name())});
}

/// Empty: there is none.
std::string read_record(rbd_image_t image, const std::string& name) {
  std::vector<char> text(kLongestRecord + 1);
  size_t length = text.size();
  return rbd_metadata_get(image, key_of(name).c_str(), text.data(), &length) < 0
             ? std::string()
             : std::string(text.data());
}

int write_record(rbd_image_t image, const std::string& name, const std::string& record) {
  return rbd_metadata_set(image, key_of(name).c_str(), record.c_str());
}

}  // namespace

std::string mark_rbd_state(rbd_image_t image, const RbdLocation& location, const Point& point) {
  std::string name = rbd_snapshot_name(point.name, rbd_snapshot_names(image, location));
  const std::string action = "make the snapshot '" + name + "'";
  // The record first: a snapshot without one could not be told from somebody else's.
  int rc = write_record(image, name, record_of(point, ""));
  if (rc >= 0) {
    rc = rbd_snap_create(image, name.c_str());
  }
  uint64_t id = 0;
  if (rc >= 0) {
    rc = rbd_snap_get_id(image, name.c_str(), &id);
  }
  // One that somebody makes later under this name has another number.
  if (rc >= 0) {
    rc = write_record(image, name, record_of(point, std::to_string(id)));
  }
  if (rc < 0) {
    throw rbd_error(rc, location, action);
  }
  return name;
}

bool is_mark_of(rbd_image_t image, const SnapshotFacts& snapshot, const Point& point) {
  const std::string record = read_record(image, snapshot.name);
  return record == record_of(point, "") || record == record_of(point, snapshot.id) ||
         record == record_of(point, std::nullopt);
}

void end_mark(rbd_image_t image, const SnapshotFacts& snapshot, const Point& point) {
  const std::string record = record_of(point, snapshot.id);
  if (record != read_record(image, snapshot.name)) {
    write_record(image, snapshot.name, record);
  }
}

std::optional<RbdMarkRecord> mark_record(rbd_image_t image, const std::string& name) {
  const auto record = nlohmann::json::parse(read_record(image, name), nullptr, false);
  const auto text = [&record](const char* key) {
    const auto found = record.is_object() ? record.find(key) : record.end();
    return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (text("name").empty()) {
    return std::nullopt;
  }
  RbdMarkRecord found = {.name = text("name"), .seconds = parse_utc_time(text("date"))};
  found.state_id = text("id");
  if (record.contains(kSnapshot)) {
    found.snapshot_id = text(kSnapshot);
  }
  return found;
}

int rename_mark(rbd_image_t image, const std::string& from, const std::string& to) {
  const std::string record = read_record(image, from);
  // Both names have it for a moment. It is true of one: the number of the snapshot tells.
  int rc = record.empty() ? 0 : write_record(image, to, record);
  if (rc >= 0) {
    rc = rbd_snap_rename(image, from.c_str(), to.c_str());
  }
  if (rc >= 0) {
    rbd_metadata_remove(image, key_of(from).c_str());
  }
  return rc;
}

bool may_be_copied(const std::optional<RbdMarkRecord>& record, const SnapshotFacts& snapshot) {
  const auto number = record ? record->snapshot_id : std::nullopt;
  return record && (!number || number->empty() || *number == snapshot.id);
}

void remove_rbd_snapshots(rbd_image_t image, const RbdLocation& location, RbdMarks which,
                          Pulse& pulse) {
  for (const SnapshotFacts& snapshot : read_rbd_snapshots(image, location)) {
    if (which == RbdMarks::kRecorded &&
        !may_be_copied(mark_record(image, snapshot.name), snapshot)) {
      continue;
    }
    const int rc = rbd_snap_remove(image, snapshot.name.c_str());
    pulse.beat();
    if (rc == -EBUSY) {
      throw snapshot_in_use(location, snapshot);
    }
    if (rc < 0 && rc != -ENOENT) {
      throw rbd_error(rc, location, "remove the snapshot '" + snapshot.name + "'");
    }
  }
}

}  // namespace vmferry
