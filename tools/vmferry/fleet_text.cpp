// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/fleet_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "lib/core/counted.h"
#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "lib/core/utc_time.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/text_table.h"

namespace vmferry::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string time_text(int64_t seconds) { return seconds == 0 ? "" : utc_seconds(seconds); }

std::string left_text(const FleetJobStatus& job) {
  const double seconds = seconds_left(job);
  if (seconds < 0) {
    return "";
  }
  const auto whole = static_cast<long>(seconds);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string size_or_nothing(uint64_t bytes) { return bytes == 0 ? "" : about_bytes(bytes); }

std::string state_text(const FleetJobStatus& job) {
  if (!job.has_worker) {
    return "without worker";
  }
  return state_word(job) + (job.asked.empty() ? "" : ", to " + job.asked);
}

std::vector<std::string> row_of(const FleetJobStatus& job) {
  const FleetProgress progress = job.progress.value_or(FleetProgress());
  return {job.guest,
          job.host + (job.target_host.empty() ? "" : " -> " + job.target_host),
          std::to_string(job.wave),
          state_text(job),
          progress.phase,
          size_or_nothing(progress.done),
          size_or_nothing(progress.total == 0 ? job.data : progress.total),
          progress.rate == 0 ? "" : about_bytes(progress.rate) + "/s",
          left_text(job)};
}

std::string counts_text(const FleetTotals& totals) {
  std::string text;
  const auto add = [&](size_t count, const char* what) {
    if (count > 0) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
    }
  };
  add(totals.done, "done");
  add(totals.running, "running");
  add(totals.pending, "pending");
  add(totals.paused, "paused");
  add(totals.failed, "failed");
  add(totals.cancelled, "cancelled");
  return text;
}

std::string troubles_text(const FleetStatus& status) {
  std::string text;
  for (const FleetJobStatus& job : status.jobs) {
    if (!job.error.empty()) {
      text += printable(fmt::format("{} on {}: {}", job.guest, job.host, job.error)) + "\n";
    }
    if (!job.hint.empty()) {
      text += "  hint: " + printable(job.hint) + "\n";
    }
    if (!job.has_worker) {
      text += printable(fmt::format("{} on {}: its worker is dead\n  hint: start one there: "
                                    "vmferry fleet work --pool {} --name {}",
                                    job.guest, job.host, status.pool, status.name)) +
              "\n";
    }
  }
  for (const FleetWorkerStatus& worker : status.workers) {
    if (!worker.waiting.empty() && worker.alive) {
      text += printable(fmt::format("{} waits: {}", worker.host, worker.waiting)) + "\n";
    }
  }
  return text;
}

Json job_json(const FleetJobStatus& job) {
  Json json = {{"guest", job.guest},          {"host", job.host},       {"wave", job.wave},
               {"state", word_of(job.state)}, {"data_bytes", job.data}, {"attempts", job.attempts}};
  const auto put = [&](const char* key, const std::string& text) {
    if (!text.empty()) {
      json[key] = text;
    }
  };
  put("target_host", job.target_host);
  put("asked", job.asked);
  put("worker", job.worker);
  put("began", time_text(job.began));
  put("ended", time_text(job.ended));
  if (job.before != 0 || job.after != 0) {
    json["before_bytes"] = job.before;
    json["after_bytes"] = job.after;
  }
  put("error", job.error);
  put("hint", job.hint);
  if (job.synced) {
    json["synced"] = true;
  }
  if (!job.has_worker) {
    json["worker_is_dead"] = true;
  }
  if (job.progress) {
    json["phase"] = job.progress->phase;
    json["done_bytes"] = job.progress->done;
    if (job.progress->total != 0) {
      json["total_bytes"] = job.progress->total;
    }
    json["bytes_per_second"] = job.progress->rate;
    if (const double left = seconds_left(job); left >= 0) {
      json["seconds_left"] = static_cast<int64_t>(left);
    }
  }
  return json;
}

/// A label's value: backslash, quote and end of line are escaped (Prometheus' text format).
std::string label(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    out += c == '\\' || c == '"' ? std::string{'\\', c} : std::string{c};
  }
  return out;
}

}  // namespace

FleetTotals fleet_totals(const FleetStatus& status) {
  FleetTotals totals;
  totals.jobs = status.jobs.size();
  totals.pending = status.count(FleetJobState::kPending);
  totals.running = status.count(FleetJobState::kRunning);
  totals.paused = status.count(FleetJobState::kPaused);
  totals.done = status.count(FleetJobState::kDone);
  totals.failed = status.count(FleetJobState::kFailed);
  totals.cancelled = status.count(FleetJobState::kCancelled);
  for (const FleetJobStatus& job : status.jobs) {
    if (job.state == FleetJobState::kCancelled) {
      continue;
    }
    totals.data += job.data;
    if (job.state == FleetJobState::kDone || job.synced) {
      totals.data_done += job.data;
    } else if (job.progress) {
      // Only a copy counts, and no more than the plan says.
      totals.data_done +=
          job.progress->phase == "copy" ? std::min(job.progress->done, job.data) : 0;
      totals.rate += job.progress->rate;
    }
  }
  return totals;
}

std::string state_word(const FleetJobStatus& job) {
  const bool waits = job.synced && job.state == FleetJobState::kPending;
  return waits ? "synchronised" : word_of(job.state);
}

double seconds_left(const FleetJobStatus& job) {
  if (!job.progress || job.progress->rate == 0 || job.progress->total < job.progress->done ||
      job.progress->total == 0) {
    return -1;
  }
  return static_cast<double>(job.progress->total - job.progress->done) /
         static_cast<double>(job.progress->rate);
}

std::string fleet_text(const FleetStatus& status, bool active_only) {
  const FleetTotals totals = fleet_totals(status);
  std::string text =
      printable(fmt::format("fleet '{}' in pool '{}': {}{}", status.name, status.pool, status.state,
                            status.why.empty() ? "" : " (" + status.why + ")")) +
      "\n";
  text += counted(totals.jobs, "guest") + ": " + counts_text(totals) + "\n";
  text += fmt::format("{} of {} copied", about_bytes(totals.data_done), about_bytes(totals.data));
  text += totals.rate == 0 ? "\n\n" : fmt::format(", {}/s\n\n", about_bytes(totals.rate));
  TextTable table({"GUEST", "HOST", ">WAVE", "STATE", "PHASE", ">DONE", ">OF", ">RATE", ">LEFT"});
  for (const FleetJobStatus& job : status.jobs) {
    const bool quiet = job.state == FleetJobState::kPending || job.state == FleetJobState::kDone ||
                       job.state == FleetJobState::kCancelled;
    if (!active_only || !quiet) {
      table.add(row_of(job));
    }
  }
  if (!table.empty()) {
    text += table.text("") + "\n";
  }
  return text + troubles_text(status);
}

std::string fleet_json(const FleetStatus& status) {
  const FleetTotals totals = fleet_totals(status);
  Json jobs = Json::array();
  for (const FleetJobStatus& job : status.jobs) {
    jobs.push_back(job_json(job));
  }
  Json workers = Json::array();
  for (const FleetWorkerStatus& worker : status.workers) {
    workers.push_back({{"worker", worker.id},
                       {"host", worker.host},
                       {"since", time_text(worker.since)},
                       {"alive", worker.alive},
                       {"waiting", worker.waiting}});
  }
  Json json = {{"fleet", status.name}, {"pool", status.pool}, {"state", status.state}};
  if (!status.why.empty()) {
    json["why"] = status.why;
  }
  json["submitted"] = time_text(status.submitted);
  json["totals"] = {{"jobs", totals.jobs},
                    {"pending", totals.pending},
                    {"running", totals.running},
                    {"paused", totals.paused},
                    {"done", totals.done},
                    {"failed", totals.failed},
                    {"cancelled", totals.cancelled},
                    {"data_bytes", totals.data},
                    {"data_done_bytes", totals.data_done},
                    {"bytes_per_second", totals.rate}};
  json["jobs"] = std::move(jobs);
  json["workers"] = std::move(workers);
  return json_text(json, 2) + "\n";
}

std::string fleet_prometheus(const FleetStatus& status) {
  const FleetTotals totals = fleet_totals(status);
  const std::string fleet =
      fmt::format("fleet=\"{}\",pool=\"{}\"", label(status.name), label(status.pool));
  std::string text;
  const auto head = [&](const char* name, const char* help) {
    text +=
        fmt::format("# HELP vmferry_fleet_{0} {1}\n# TYPE vmferry_fleet_{0} gauge\n", name, help);
  };
  const auto put = [&](const char* name, const std::string& more, uint64_t value) {
    text += fmt::format("vmferry_fleet_{}{{{}{}}} {}\n", name, fleet, more, value);
  };
  head("jobs", "Guests by state.");
  for (const auto& [state, count] :
       {std::pair{"pending", totals.pending}, std::pair{"running", totals.running},
        std::pair{"paused", totals.paused}, std::pair{"done", totals.done},
        std::pair{"failed", totals.failed}, std::pair{"cancelled", totals.cancelled}}) {
    put("jobs", fmt::format(",state=\"{}\"", state), count);
  }
  head("data_bytes", "Data of all guests, as the plan says.");
  put("data_bytes", "", totals.data);
  head("data_done_bytes", "Of that, copied.");
  put("data_done_bytes", "", totals.data_done);
  head("bytes_per_second", "How fast the running jobs copy, together.");
  put("bytes_per_second", "", totals.rate);
  head("workers", "Workers that are alive.");
  put("workers", "",
      static_cast<uint64_t>(std::count_if(status.workers.begin(), status.workers.end(),
                                          [](const auto& worker) { return worker.alive; })));
  head("job_done_bytes", "How far a running job is in its phase.");
  for (const FleetJobStatus& job : status.jobs) {
    if (job.progress) {
      put("job_done_bytes",
          fmt::format(",guest=\"{}\",host=\"{}\",phase=\"{}\"", label(job.guest), label(job.host),
                      label(job.progress->phase)),
          job.progress->done);
    }
  }
  return text;
}

}  // namespace vmferry::cli
