// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/moves.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "vmferry/error.h"

namespace vmferry::fleet {
namespace {

using nlohmann::json;

constexpr int kNoteTries = 20;  // others note other disks of the guest

Usage usage_of(const json& disk, const char* when) {
  if (!disk.contains(when)) {
    return {};
  }
  const json& value = disk.at(when);
  return {.virtual_bytes = value.at("virtual_bytes"),
          .allocated_bytes = value.at("allocated_bytes")};
}

OldFile old_file_of(const json& value) {
  return {.path = value.at("path"),
          .format = value.at("format"),
          .identity = value.at("identity"),
          .size = value.at("size_bytes"),
          .modified = value.at("modified_ns"),
          .taken = value.at("allocated_bytes")};
}

FleetMovedDisk moved_disk_of(const json& value) {
  FleetMovedDisk disk;
  disk.dev = value.at("disk");
  disk.from = value.at("from");
  disk.to = value.at("to");
  disk.digest = value.value("copied_digest", "");
  disk.before = usage_of(value, "before");
  disk.after = usage_of(value, "after");
  if (value.contains("old")) {
    disk.old = old_file_of(value.at("old"));
  }
  return disk;
}

/// Of the report of a volume that was sparsified; null: it does not know.
FleetMovedDisk sparsified_disk_of(const json& value) {
  FleetMovedDisk disk;
  disk.from = disk.to = value.at("image");
  disk.before.virtual_bytes = disk.after.virtual_bytes = value.at("virtual_bytes");
  const auto bytes = [&](const char* key) {
    return value.at(key).is_null() ? 0 : value.at(key).get<uint64_t>();
  };
  disk.before.allocated_bytes = bytes("allocated_before_bytes");
  disk.after.allocated_bytes = bytes("allocated_after_bytes");
  return disk;
}

/// What is left, by the names that the run gave it.
void take_kept(FleetMove& move, std::vector<std::string> kept) {
  for (FleetMovedDisk& disk : move.disks) {
    const auto found = std::find(kept.begin(), kept.end(), disk.from);
    if (found != kept.end()) {
      disk.state = OldDiskState::kLeft;
      kept.erase(found);
    }
  }
  move.kept = std::move(kept);
}

}  // namespace

FleetMove move_of(const std::string& record) {
  const json value = json::parse(record, nullptr, false);
  FleetMove move;
  try {
    if (value.contains("image")) {
      move.disks = {sparsified_disk_of(value)};
      move.seconds = value.value("seconds", 0.0);
      return move;
    }
    for (const json& disk : value.at("disks")) {
      move.disks.push_back(moved_disk_of(disk));
    }
    take_kept(move, value.at("kept"));
    move.seconds = value.value("seconds", 0.0);
    if (value.contains("downtime_ms")) {
      move.downtime_ms = value.at("downtime_ms").get<uint64_t>();
    }
  } catch (const json::exception&) {
    return {};
  }
  return move;
}

std::string text_of(const OldDiskNotes& notes) {
  json value = json::object();
  for (const auto& [dev, note] : notes) {
    value[dev] = {{"state", word_of(note.state)}, {"when", note.when}};
  }
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

OldDiskNotes notes_of(const std::string& text, const std::string& what) {
  const json value = json::parse(text, nullptr, false);
  OldDiskNotes notes;
  try {
    for (const auto& [dev, note] : value.items()) {
      notes[dev] = {.state = note.at("state") == word_of(OldDiskState::kGone)
                                 ? OldDiskState::kGone
                                 : OldDiskState::kRemoved,
                    .when = note.at("when")};
    }
  } catch (const json::exception& error) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = what,
                 .action = "read what is noted of old disks",
                 .cause = std::string("not written by a vmferry: ") + error.what()});
  }
  return notes;
}

FleetReport report_of(Ledger& ledger, const FleetPlan& plan) {
  FleetReport report;
  report.status = status_of(ledger);
  report.plan = plan;
  if (report.status.jobs.size() != plan.jobs.size()) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = ledger.what(),
                 .action = "read its state",
                 .cause = "it has other jobs than its plan"});
  }
  report.moves.reserve(plan.jobs.size());
  const auto records = ledger.all(kRecords);
  const auto notes = ledger.all(kOldDisks);
  for (const FleetJobStatus& job : report.status.jobs) {
    FleetMove& move = report.moves.emplace_back();
    const auto record = records.find(numbered(kRecords, job.number));
    if (job.state != FleetJobState::kDone || record == records.end()) {
      continue;
    }
    move = move_of(record->second);
    const auto noted = notes.find(numbered(kOldDisks, job.number));
    if (noted == notes.end()) {
      continue;
    }
    const OldDiskNotes known = notes_of(noted->second, ledger.what());
    for (FleetMovedDisk& disk : move.disks) {
      if (const auto note = known.find(disk.dev); note != known.end()) {
        disk.state = note->second.state;
        disk.when = note->second.when;
      }
    }
  }
  return report;
}

void note_old_disk(Ledger& ledger, unsigned number, const std::string& dev,
                   const OldDiskNote& note) {
  for (int tried = 0; tried < kNoteTries; ++tried) {
    const auto values = ledger.values({numbered(kOldDisks, number), numbered(kRecords, number)});
    const auto before = values.find(numbered(kOldDisks, number));
    const auto record = values.find(numbered(kRecords, number));
    if (record == values.end()) {
      break;
    }
    const std::string text = before == values.end() ? "" : before->second;
    OldDiskNotes notes = text.empty() ? OldDiskNotes() : notes_of(text, ledger.what());
    notes[dev] = note;
    ObjectChange change;
    change.expect = {{numbered(kOldDisks, number), text},
                     {numbered(kRecords, number), record->second}};
    change.set[numbered(kOldDisks, number)] = text_of(notes);
    if (ledger.apply(change, numbered(kOldDisks, number)) == Changed::kDone) {
      return;
    }
  }
  throw Error({.kind = ErrorKind::kConflict,
               .object = ledger.what(),
               .action = "note that an old disk went",
               .cause = "the job has another record by now"});
}

}  // namespace vmferry::fleet
