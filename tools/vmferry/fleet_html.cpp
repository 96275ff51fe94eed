// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/fleet_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "lib/core/format_bytes.h"
#include "tools/vmferry/fleet_text.h"
#include "tools/vmferry/ui/html.h"

namespace vmferry::cli {
namespace {

constexpr int kWidth = 1000;  // of the timeline, in its own units
constexpr int kName = 160;
constexpr int kRow = 16;

std::string head(const FleetStatus& status, int64_t now) {
  return fmt::format(
      "<h1>Fleet {}: {}</h1>\n<p>Guests moved to pool {}. As of {} UTC{}.</p>\n", html(status.name),
      html(status.state + (status.why.empty() ? "" : ", " + status.why)), html(status.pool),
      html_time(now), status.submitted == 0 ? "" : "; submitted " + html_time(status.submitted));
}

std::string sums(const FleetStatus& status, const FleetTotals& totals) {
  uint64_t before = 0;
  uint64_t after = 0;
  for (const FleetJobStatus& job : status.jobs) {
    before += job.before;
    after += job.after;
  }
  const double share = totals.data == 0 ? (totals.done == totals.jobs ? 100.0 : 0.0)
                                        : 100.0 * static_cast<double>(totals.data_done) /
                                              static_cast<double>(totals.data);
  std::string text = "<div class=tiles>\n";
  text += html_tile("guests", std::to_string(totals.jobs));
  text += html_tile("done", std::to_string(totals.done));
  text += html_tile("running", std::to_string(totals.running));
  text += html_tile("pending", std::to_string(totals.pending + totals.paused));
  text += html_tile("failed", std::to_string(totals.failed));
  text += totals.cancelled == 0 ? "" : html_tile("cancelled", std::to_string(totals.cancelled));
  text += html_tile("copied of " + about_bytes(totals.data), about_bytes(totals.data_done));
  text += totals.rate == 0 ? "" : html_tile("now", about_bytes(totals.rate) + "/s");
  if (before + after > 0) {
    text += html_tile("space of moved guests before", about_bytes(before));
    text += html_tile("space after, in the pool", about_bytes(after));
  }
  return text + fmt::format(
                    "</div>\n<div class=bar role=img aria-label=\"{0:.0f} percent\"><div "
                    "style=\"width:{0:.1f}%\"></div></div>\n",
                    share);
}

const char* class_of(FleetJobState state) {
  switch (state) {
    case FleetJobState::kDone:
      return "sdone";
    case FleetJobState::kRunning:
      return "srunning";
    case FleetJobState::kFailed:
      return "sfailed";
    default:
      return "sother";
  }
}

int64_t end_of(const FleetJobStatus& job, int64_t now) { return job.ended == 0 ? now : job.ended; }

/// The jobs of a host in rows, none over another.
using Rows = std::vector<std::vector<const FleetJobStatus*>>;

Rows rows_of(std::vector<const FleetJobStatus*> jobs, int64_t now) {
  std::stable_sort(jobs.begin(), jobs.end(),
                   [](const auto* a, const auto* b) { return a->began < b->began; });
  Rows rows;
  for (const FleetJobStatus* job : jobs) {
    auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& others) {
      return end_of(*others.back(), now) <= job->began;
    });
    if (row == rows.end()) {
      row = rows.emplace(rows.end());
    }
    row->push_back(job);
  }
  return rows;
}

struct Axis {
  int64_t from = 0;
  int64_t to = 0;

  double at(int64_t time) const {
    const auto length = static_cast<double>(std::max<int64_t>(1, to - from));
    return kName + (kWidth - kName) * static_cast<double>(time - from) / length;
  }
};

std::string span_of(const FleetJobStatus& job, const Axis& axis, int y, int64_t now) {
  const int64_t end = end_of(job, now);
  return fmt::format(
      "<rect class={} x={:.1f} y={} width={:.1f} height={}><title>{}: {}, {} to "
      "{}</title></rect>\n",
      class_of(job.state), axis.at(job.began), y + 2,
      std::max(2.0, axis.at(end) - axis.at(job.began) - 1), kRow - 4, html(job.guest),
      word_of(job.state), html_time(job.began), html_time(end));
}

std::string timeline(const FleetStatus& status, int64_t now) {
  std::map<std::string, std::vector<const FleetJobStatus*>> hosts;
  Axis axis = {.from = now, .to = 0};
  for (const FleetJobStatus& job : status.jobs) {
    if (job.began != 0) {
      hosts[job.host].push_back(&job);
      axis.from = std::min(axis.from, job.began);
      axis.to = std::max(axis.to, end_of(job, now));
    }
  }
  if (hosts.empty()) {
    return {};
  }
  std::string text;
  int y = 0;
  for (const auto& [host, jobs] : hosts) {
    text += fmt::format("<path d=\"M0 {0}H{1}\"/><text x=0 y={2}>{3}</text>\n", y, kWidth, y + 12,
                        html(host.substr(0, 24)));
    for (const auto& row : rows_of(jobs, now)) {
      for (const FleetJobStatus* job : row) {
        text += span_of(*job, axis, y, now);
      }
      y += kRow;
    }
  }
  return fmt::format(
             "<section><h2>When, on which host</h2>\n<p class=key><i class=kdone></i>done <i "
             "class=krunning></i>running <i class=kfailed></i>failed <i "
             "class=kother></i>other</p>\n<div class=scroll><svg viewBox=\"0 0 {} {}\" role=img "
             "aria-label=\"timeline of the hosts\">\n",
             kWidth, y + kRow) +
         text +
         fmt::format(
             "<text x={} y={}>{}</text><text x={} y={} text-anchor=end>{}</text>\n"
             "</svg></div></section>\n",
             kName, y + 12, html_time(axis.from), kWidth, y + 12, html_time(axis.to));
}

std::string failures(const FleetStatus& status) {
  std::string rows;
  for (const FleetJobStatus& job : status.jobs) {
    if (!job.error.empty() || !job.has_worker) {
      rows += "<tr>" + html_cell(job.guest) + html_cell(job.host) +
              html_words(job.has_worker ? job.error : "its worker is dead") +
              html_words(job.has_worker ? job.hint : "start a worker on that host") + "</tr>\n";
    }
  }
  return rows.empty() ? ""
                      : "<section><h2 class=failed>What failed</h2>\n<div class=scroll><table>\n"
                        "<tr><th>Guest<th>Host<th>Why<th>What helps</tr>\n" +
                            rows + "</table></div></section>\n";
}

std::string progress_of(const FleetJobStatus& job) {
  if (!job.progress) {
    return {};
  }
  const FleetProgress& now = *job.progress;
  return ": " + now.phase +
         (now.total == 0
              ? ""
              : fmt::format(", {} of {}", about_bytes(now.done), about_bytes(now.total)));
}

std::string guests(const FleetStatus& status) {
  std::string text =
      "<section><h2>Guests</h2>\n<div class=scroll><table>\n<tr><th>Guest<th>Host<th "
      "class=n>Wave<th>State<th>Began<th>Ended<th class=n>Data<th class=n>Before<th "
      "class=n>After</tr>\n";
  for (const FleetJobStatus& job : status.jobs) {
    text += "<tr>" + html_cell(job.guest) +
            html_cell(job.host + (job.target_host.empty() ? "" : " → " + job.target_host)) +
            html_number(std::to_string(job.wave)) +
            (job.state == FleetJobState::kFailed ? "<td class=failed>failed</td>"
                                                 : html_cell(state_word(job) + progress_of(job))) +
            html_moment(job.began) + html_moment(job.ended) + html_number(about_bytes(job.data)) +
            html_number(job.before == 0 ? "" : about_bytes(job.before)) +
            html_number(job.after == 0 ? "" : about_bytes(job.after)) + "</tr>\n";
  }
  return text + "</table></div></section>\n";
}

}  // namespace

std::string fleet_html_summary(const FleetStatus& status, int64_t now) {
  return head(status, now) + sums(status, fleet_totals(status)) + failures(status) +
         timeline(status, now);
}

std::string fleet_html(const FleetStatus& status, int64_t now) {
  return html_page("fleet " + status.name, fleet_html_summary(status, now) + guests(status));
}

}  // namespace vmferry::cli
