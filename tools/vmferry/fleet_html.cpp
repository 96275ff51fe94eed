// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/fleet_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "lib/core/utc_time.h"
#include "tools/vmferry/fleet_text.h"

namespace vmferry::cli {
namespace {

constexpr int kWidth = 1000;  // of the timeline, in its own units
constexpr int kName = 160;
constexpr int kRow = 16;

// Colours go with words everywhere: a page on paper may be grey.
constexpr const char* kStyle = R"(
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h1, td, .tiles { overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; padding: 0; }
.tiles div { border: 1px solid #8888; border-radius: .4rem; padding: .4rem .9rem; }
.tiles b { display: block; font-size: 1.3rem; }
.bar { border: 1px solid #8888; height: 1rem; border-radius: .3rem; overflow: hidden; }
.bar div { background: #2a7; height: 100%; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; min-width: 5rem; }
td:nth-child(-n+2) { min-width: 8rem; } td.w { min-width: 14rem; }
th.n, td.n { text-align: right; } td.n, td.t { white-space: nowrap; }
.failed { color: #c22; font-weight: 600; }
svg { width: 100%; min-width: 50rem; height: auto; display: block; }
svg text { font-size: 11px; fill: currentColor; } svg path { stroke: #8884; }
.key { margin: 0 0 .5rem; } .key i { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .8em; }
.key i:first-child { margin-left: 0; }
.sdone { fill: #2a7; } .srunning { fill: #37c; } .sfailed { fill: #c22; } .sother { fill: #999; }
.kdone { background: #2a7; } .krunning { background: #37c; } .kfailed { background: #c22; } .kother { background: #999; }
@media print {
  body { max-width: none; margin: 0; padding: 0; font-size: 11px; } tr { break-inside: avoid; }
  .scroll { overflow: visible; } svg { min-width: 0; } th, td, td.w { padding: .2rem .3rem; min-width: 3rem; }
  td:nth-child(-n+2) { min-width: 6rem; }
  .bar div, .key i, rect { print-color-adjust: exact; }
}
)";

std::string html(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string time_of(int64_t seconds) {
  return seconds == 0 ? "" : utc_time({.tv_sec = seconds, .tv_nsec = 0}).substr(0, 16);
}

std::string tile(const std::string& name, const std::string& value) {
  return fmt::format("<div><b>{}</b>{}</div>\n", html(value), html(name));
}

std::string cell(const std::string& text) { return "<td>" + html(text) + "</td>"; }
std::string words(const std::string& text) { return "<td class=w>" + html(text) + "</td>"; }
std::string moment(int64_t time) { return "<td class=t>" + time_of(time) + "</td>"; }
std::string number(const std::string& text) { return "<td class=n>" + html(text) + "</td>"; }

std::string head(const FleetStatus& status, int64_t now) {
  return fmt::format(
      "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
      "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
      "<title>fleet {0}</title>\n<style>{1}</style>\n</head>\n<body>\n"
      "<h1>Fleet {0}: {2}</h1>\n<p>Guests moved to pool {3}. As of {4} UTC{5}.</p>\n",
      html(status.name), kStyle, html(status.state + (status.why.empty() ? "" : ", " + status.why)),
      html(status.pool), time_of(now),
      status.submitted == 0 ? "" : "; submitted " + time_of(status.submitted));
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
  text += tile("guests", std::to_string(totals.jobs));
  text += tile("done", std::to_string(totals.done));
  text += tile("running", std::to_string(totals.running));
  text += tile("pending", std::to_string(totals.pending + totals.paused));
  text += tile("failed", std::to_string(totals.failed));
  text += totals.cancelled == 0 ? "" : tile("cancelled", std::to_string(totals.cancelled));
  text += tile("copied of " + about_bytes(totals.data), about_bytes(totals.data_done));
  text += totals.rate == 0 ? "" : tile("now", about_bytes(totals.rate) + "/s");
  if (before + after > 0) {
    text += tile("space of moved guests before", about_bytes(before));
    text += tile("space after, in the pool", about_bytes(after));
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
      word_of(job.state), time_of(job.began), time_of(end));
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
             kName, y + 12, time_of(axis.from), kWidth, y + 12, time_of(axis.to));
}

std::string failures(const FleetStatus& status) {
  std::string rows;
  for (const FleetJobStatus& job : status.jobs) {
    if (!job.error.empty() || !job.has_worker) {
      rows += "<tr>" + cell(job.guest) + cell(job.host) +
              words(job.has_worker ? job.error : "its worker is dead") +
              words(job.has_worker ? job.hint : "start a worker on that host") + "</tr>\n";
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
    text += "<tr>" + cell(job.guest) +
            cell(job.host + (job.target_host.empty() ? "" : " → " + job.target_host)) +
            number(std::to_string(job.wave)) +
            (job.state == FleetJobState::kFailed ? "<td class=failed>failed</td>"
                                                 : cell(word_of(job.state) + progress_of(job))) +
            moment(job.began) + moment(job.ended) + number(about_bytes(job.data)) +
            number(job.before == 0 ? "" : about_bytes(job.before)) +
            number(job.after == 0 ? "" : about_bytes(job.after)) + "</tr>\n";
  }
  return text + "</table></div></section>\n";
}

}  // namespace

std::string fleet_html(const FleetStatus& status, int64_t now) {
  return head(status, now) + sums(status, fleet_totals(status)) + failures(status) +
         timeline(status, now) + guests(status) + "</body>\n</html>\n";
}

}  // namespace vmferry::cli
