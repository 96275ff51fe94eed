// SPDX-License-Identifier: LGPL-2.1-or-later
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "lib/core/utc_time.h"
#include "lib/fleet/migrate_run.h"
#include "lib/migrate/journal.h"
#include "lib/store/file/file_text.h"

namespace vmferry::fleet {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

bool is_of(const json& record, const FleetJob& job, int64_t since) {
  if (record.at("domain") != job.name || parse_utc_time(record.at("ended")).value_or(0) < since ||
      record.at("disks").size() != job.disks.size()) {
    return false;
  }
  for (const json& disk : record.at("disks")) {
    bool wanted = false;
    for (const FleetDisk& each : job.disks) {
      wanted = wanted || (disk.at("disk") == each.dev && disk.at("to") == each.target.display());
    }
    if (!wanted) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::vector<std::string> records_since(const FleetJob& job, const std::string& state_dir,
                                       int64_t since) {
  std::vector<std::string> records;
  const std::string prefix = migrate::state_file_name(job.name) + "-";
  std::error_code failed;
  for (fs::directory_iterator file(state_dir, failed), end; !failed && file != end;
       file.increment(failed)) {
    const std::string name = file->path().filename().string();
    if (!name.starts_with(prefix) || !name.ends_with(".record")) {
      continue;
    }
    const FileText text = read_small_file(file->path().string());
    try {
      const json record = json::parse(text.text, nullptr, false);
      if (text.error == 0 && record.is_object() && is_of(record, job, since)) {
        records.push_back(record.dump());
      }
    } catch (const json::exception&) {
      continue;  // not written by us
    }
  }
  return records;
}

std::string record_since(const FleetJob& job, const std::string& state_dir, int64_t since) {
  const std::vector<std::string> records = records_since(job, state_dir, since);
  return records.empty() ? "" : records.front();
}

}  // namespace vmferry::fleet
