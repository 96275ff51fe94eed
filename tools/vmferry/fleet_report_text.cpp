// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/fleet_report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "lib/core/format_bytes.h"
#include "lib/core/utc_time.h"
#include "tools/vmferry/fleet_html.h"
#include "tools/vmferry/fleet_text.h"
#include "tools/vmferry/ui/html.h"
#include "tools/vmferry/ui/output.h"

namespace vmferry::cli {
namespace {

using Json = nlohmann::ordered_json;

/// What there was of old disks, and what of it is left.
struct OldSums {
  size_t left = 0;
  size_t gone = 0;
  uint64_t left_bytes = 0;  ///< of those whose size is known
};

OldSums old_sums(const FleetReport& report) {
  OldSums sums;
  for (const FleetMove& move : report.moves) {
    sums.left += move.kept.size();
    for (const FleetMovedDisk& disk : move.disks) {
      if (disk.state == OldDiskState::kLeft) {
        ++sums.left;
        sums.left_bytes += disk.old ? disk.old->taken : 0;
      }
      sums.gone += disk.state == OldDiskState::kRemoved || disk.state == OldDiskState::kGone;
    }
  }
  return sums;
}

bool is_finished(const FleetStatus& status) {
  return status.count(FleetJobState::kDone) + status.count(FleetJobState::kCancelled) ==
         status.jobs.size();
}

Json disk_json(const FleetMovedDisk& disk) {
  Json json = {{"disk", disk.dev}, {"from", disk.from}, {"to", disk.to}};
  if (!disk.digest.empty()) {
    json["copied_digest"] = disk.digest;
  }
  json["virtual_bytes"] = disk.before.virtual_bytes;
  json["before_bytes"] = disk.before.allocated_bytes;
  json["after_bytes"] = disk.after.allocated_bytes;
  json["old"] = word_of(disk.state);
  if (disk.old) {
    json["old_path"] = disk.old->path;
    json["old_bytes"] = disk.old->taken;
  }
  if (disk.when != 0) {
    json["old_gone"] = utc_seconds(disk.when);
  }
  return json;
}

Json guest_json(const FleetJobStatus& job, const FleetJob& planned, const FleetMove& move) {
  Json json = {{"guest", job.guest},
               {"uuid", planned.uuid},
               {"host", job.host},
               {"state", word_of(job.state)}};
  if (!job.target_host.empty()) {
    json["target_host"] = job.target_host;
  }
  if (job.began != 0) {
    json["began"] = utc_seconds(job.began);
  }
  if (job.ended != 0) {
    json["ended"] = utc_seconds(job.ended);
  }
  if (move.seconds > 0) {
    json["seconds"] = move.seconds;
  }
  if (move.downtime_ms) {
    json["downtime_ms"] = *move.downtime_ms;
  }
  if (!job.error.empty()) {
    json["error"] = job.error;
    json["hint"] = job.hint;
  }
  Json disks = Json::array();
  for (const FleetMovedDisk& disk : move.disks) {
    disks.push_back(disk_json(disk));
  }
  if (move.disks.empty()) {
    for (const FleetDisk& disk : planned.disks) {
      disks.push_back({{"disk", disk.dev}, {"to", disk.target.display()}});
    }
  }
  json["disks"] = std::move(disks);
  if (!move.kept.empty()) {
    json["also_left"] = move.kept;
  }
  return json;
}

std::string seconds_text(double seconds) {
  const auto whole = std::lround(seconds);
  return seconds < 60 ? fmt::format("{:.1f} s", seconds)
                      : fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string old_text(const FleetMovedDisk& disk) {
  switch (disk.state) {
    case OldDiskState::kNothing:
      return "";
    case OldDiskState::kLeft:
      return disk.old ? "left: " + about_bytes(disk.old->taken) : "left";
    case OldDiskState::kRemoved:
      return "removed " + html_time(disk.when);
    case OldDiskState::kGone:
      return "gone, as seen " + html_time(disk.when);
  }
  return "";
}

/// One row for each disk; what is the guest's stands in the first of them.
std::string rows_of(const FleetJobStatus& job, const FleetJob& planned, const FleetMove& move) {
  const size_t rows = std::max<size_t>(1, move.disks.size());
  const std::string span = rows == 1 ? "" : fmt::format(" rowspan={}", rows);
  const auto own = [&](const std::string& text, const char* kind = "") {
    return fmt::format("<td{}{}>{}</td>", span, kind, html(text));
  };
  const std::string silence =
      move.downtime_ms ? seconds_text(static_cast<double>(*move.downtime_ms) / 1000) : "";
  std::string text =
      "<tr>" + own(job.guest) +
      own(job.host + (job.target_host.empty() ? "" : " → " + job.target_host)) +
      own(word_of(job.state), job.state == FleetJobState::kFailed ? " class=failed" : "") +
      own(html_time(job.began)) + own(html_time(job.ended)) +
      own(move.seconds > 0 ? seconds_text(move.seconds) : "", " class=n") +
      own(silence, " class=n");
  if (move.disks.empty()) {
    std::string goals;
    for (const FleetDisk& disk : planned.disks) {
      goals += (goals.empty() ? "" : ", ") + disk.target.display();
    }
    return text + html_cell("") + html_cell("") + html_cell(goals) + html_cell("") +
           html_number("") + html_number("") + html_cell("") + "</tr>\n";
  }
  for (size_t i = 0; i < move.disks.size(); ++i) {
    const FleetMovedDisk& disk = move.disks[i];
    text += (i == 0 ? "" : "<tr>") + html_cell(disk.dev) + html_cell(disk.from) +
            html_cell(disk.to) + "<td class=code>" + html(disk.digest) + "</td>" +
            html_number(about_bytes(disk.before.allocated_bytes)) +
            html_number(about_bytes(disk.after.allocated_bytes)) + html_cell(old_text(disk)) +
            "</tr>\n";
  }
  return text;
}

std::string guests_section(const FleetReport& report) {
  std::string text =
      "<section><h2>Guests and their disks</h2>\n<div class=scroll><table>\n<tr><th>Guest<th>Host"
      "<th>State<th>Began<th>Ended<th class=n>Took<th class=n>Did not run<th>Disk<th>From<th>To"
      "<th>Digest of what was copied<th class=n>Before<th class=n>After<th>Old disk</tr>\n";
  for (size_t i = 0; i < report.status.jobs.size(); ++i) {
    text += rows_of(report.status.jobs[i], report.plan.jobs.at(i), report.moves.at(i));
  }
  return text +
         "</table></div>\n<p>How long a guest did not run is known of those that left for another "
         "host while they ran, and of those that were shut down for their move. Times are "
         "UTC.</p></section>\n";
}

std::string left_section(const FleetReport& report) {
  std::string rows;
  for (size_t i = 0; i < report.status.jobs.size(); ++i) {
    const FleetJobStatus& job = report.status.jobs[i];
    const FleetMove& move = report.moves.at(i);
    for (const FleetMovedDisk& disk : move.disks) {
      if (disk.state == OldDiskState::kLeft) {
        rows += "<tr>" + html_cell(job.host) + html_cell(job.guest) + html_cell(disk.from) +
                html_number(disk.old ? about_bytes(disk.old->taken) : "") + "</tr>\n";
      }
    }
    for (const std::string& kept : move.kept) {
      rows += "<tr>" + html_cell(job.host) + html_cell(job.guest) + html_cell(kept) +
              html_number("") + "</tr>\n";
    }
  }
  if (rows.empty()) {
    return {};
  }
  const OldSums sums = old_sums(report);
  return fmt::format(
      "<section><h2>Left to remove: {}, with {}</h2>\n<p>On each host: <code>vmferry fleet clean "
      "{}</code></p>\n<div class=scroll><table>\n<tr><th>Host<th>Guest<th>What<th "
      "class=n>Takes</tr>\n{}</table></div></section>\n",
      sums.left, html(about_bytes(sums.left_bytes)), html(report.status.name), rows);
}

std::string unfinished_section(const FleetStatus& status) {
  if (is_finished(status)) {
    return {};
  }
  std::string names;
  for (const FleetJobStatus& job : status.jobs) {
    if (job.state != FleetJobState::kDone && job.state != FleetJobState::kCancelled) {
      names += fmt::format("{}{} on {} ({})", names.empty() ? "" : ", ", job.guest, job.host,
                           word_of(job.state));
    }
  }
  return "<section><h2 class=failed>Not finished</h2>\n<p>" + html(names) + ".</p></section>\n";
}

}  // namespace

std::string fleet_report_json(const FleetReport& report, int64_t now) {
  const FleetStatus& status = report.status;
  const FleetTotals totals = fleet_totals(status);
  const OldSums old = old_sums(report);
  Json guests = Json::array();
  uint64_t before = 0;
  uint64_t after = 0;
  for (size_t i = 0; i < status.jobs.size(); ++i) {
    guests.push_back(guest_json(status.jobs[i], report.plan.jobs.at(i), report.moves.at(i)));
    before += status.jobs[i].before;
    after += status.jobs[i].after;
  }
  Json json = {{"fleet", status.name},
               {"pool", status.pool},
               {"state", status.state},
               {"finished", is_finished(status)},
               {"made", utc_seconds(now)}};
  if (status.submitted != 0) {
    json["submitted"] = utc_seconds(status.submitted);
  }
  json["totals"] = {{"guests", totals.jobs},
                    {"done", totals.done},
                    {"failed", totals.failed},
                    {"cancelled", totals.cancelled},
                    {"not_finished", totals.jobs - totals.done - totals.cancelled},
                    {"data_bytes", totals.data},
                    {"before_bytes", before},
                    {"after_bytes", after},
                    {"old_left", old.left},
                    {"old_left_bytes", old.left_bytes},
                    {"old_gone", old.gone}};
  json["guests"] = std::move(guests);
  return json_text(json, 2) + "\n";
}

std::string fleet_report_html(const FleetReport& report, int64_t now) {
  return html_page("report of fleet " + report.status.name,
                   fleet_html_summary(report.status, now) + unfinished_section(report.status) +
                       guests_section(report) + left_section(report));
}

}  // namespace vmferry::cli
