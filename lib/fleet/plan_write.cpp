// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <array>

#include "lib/core/printable.h"
#include "lib/fleet/plan_words.h"
#include "vmferry/fleet.h"

namespace vmferry {
namespace fleet {
namespace {

/// A TOML basic string. What TOML does not take as it is, is escaped.
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

/// As parse_size() reads it.
std::string size_text(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"", "K", "M", "G", "T"};
  size_t unit = 0;
  while (unit + 1 < kUnits.size() && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

std::string clock_text(const FleetWindow& window) {
  return fmt::format("{:02}:{:02}-{:02}:{:02}", window.from / 60, window.from % 60, window.to / 60,
                     window.to % 60);
}

std::string monitor_text(const CephMonitor& monitor) {
  const bool ipv6 = monitor.host.find(':') != std::string::npos;
  return fmt::format("{}:{}", ipv6 ? "[" + monitor.host + "]" : monitor.host, monitor.port);
}

class PlanWriter {
 public:
  std::string write(const FleetPlan& plan) {
    remarks(plan.head);
    number("format", kFleetPlanFormat);
    text("pool", plan.pool);
    ceph(plan.ceph);
    limits(plan.limits);
    for (const FleetJob& each : plan.jobs) {
      if (each.task == FleetTask::kMove) {
        job(each);
      }
    }
    for (const FleetJob& each : plan.jobs) {
      if (each.task == FleetTask::kSparsify) {
        volume(each);
      }
    }
    if (!plan.tail.empty()) {
      out_ += '\n';
    }
    remarks(plan.tail);
    return std::move(out_);
  }

 private:
  /// Whatever a stranger's name holds, a comment stays one.
  void remarks(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      out_ += line.empty() ? "#\n" : "# " + printable(line) + "\n";
    }
  }
  void raw(const char* key, const std::string& value) {
    out_ += fmt::format("{} = {}\n", key, value);
  }
  void number(const char* key, uint64_t value) { raw(key, std::to_string(value)); }
  void flag(const char* key, bool value) { raw(key, value ? "true" : "false"); }
  void text(const char* key, const std::string& value) { raw(key, toml_string(value)); }
  void text_if_any(const char* key, const std::string& value) {
    if (!value.empty()) {
      text(key, value);
    }
  }
  void list(const char* key, const std::vector<std::string>& values) {
    std::string all;
    for (const std::string& value : values) {
      all += (all.empty() ? "" : ", ") + toml_string(value);
    }
    raw(key, "[" + all + "]");
  }

  void hours(const char* key, const std::vector<FleetWindow>& windows) {
    std::vector<std::string> texts;
    texts.reserve(windows.size());
    for (const FleetWindow& window : windows) {
      texts.push_back(clock_text(window));
    }
    if (!texts.empty()) {
      list(key, texts);
    }
  }

  void ceph(const FleetCeph& ceph) {
    std::vector<std::string> monitors;
    for (const CephMonitor& monitor : ceph.monitors) {
      monitors.push_back(monitor_text(monitor));
    }
    const size_t before = out_.size();
    out_ += "\n[ceph]\n";
    const size_t heading = out_.size();
    text_if_any("id", ceph.id);
    if (!monitors.empty()) {
      list("monitors", monitors);
    }
    text_if_any("secret_uuid", ceph.secret.uuid);
    text_if_any("secret_usage", ceph.secret.usage);
    if (ceph.define_secret) {
      flag("define_secret", true);
    }
    text_if_any("data_pool", ceph.data_pool);
    if (out_.size() == heading) {
      out_.resize(before);
    }
  }

  void limits(const FleetLimits& limits) {
    out_ += "\n[limits]\n";
    number("jobs", limits.jobs);
    number("jobs_per_host", limits.jobs_per_host);
    number("jobs_per_target_host", limits.jobs_per_target_host);
    if (limits.bandwidth != 0) {
      text("bandwidth", size_text(limits.bandwidth));
    }
    hours("window", limits.window);
    hours("cutover_window", limits.cutover_window);
    if (limits.stop_after_failures) {
      number("stop_after_failures", *limits.stop_after_failures);
    }
    flag("wait_for_health", limits.wait_for_health);
  }

  void job(const FleetJob& job) {
    out_ += '\n';
    remarks(job.remarks);
    out_ += "[[guest]]\n";
    text("name", job.name);
    text("connect", job.connect);
    text("host", job.host);
    text("uuid", job.uuid);
    text_if_any("to", job.to);
    text_if_any("target_host", job.target_host);
    text("way", word_of(kWays, PlannedWay{.mode = job.way, .warm = job.warm}));
    number("wave", job.wave);
    if (job.cutover_wave != 0) {
      number("cutover_wave", job.cutover_wave);
    }
    if (job.rewrite_only) {
      flag("rewrite_only", true);
    }
    if (job.shut_down) {
      flag("shut_down", true);
    }
    if (job.snapshots) {
      flag("snapshots", true);
    }
    if (job.on_death != Recovery::kAuto) {
      text("on_death", word_of(kEnds, job.on_death));
    }
    number("data", job.data);
    for (const FleetDisk& disk : job.disks) {
      out_ += "[[guest.disk]]\n";
      text("dev", disk.dev);
      text("target", disk.target.display());
      text_if_any("base", disk.base);
    }
  }

  void volume(const FleetJob& job) {
    out_ += '\n';
    remarks(job.remarks);
    out_ += "[[volume]]\n";
    text("image", job.disks.front().target.display());
    text("host", job.host);
    number("wave", job.wave);
  }

  std::string out_;
};

}  // namespace
}  // namespace fleet

std::string write_plan(const FleetPlan& plan) { return fleet::PlanWriter().write(plan); }

MigrateRequest migrate_request(const FleetPlan& plan, const FleetJob& job) {
  MigrateRequest request;
  request.domain = job.name;
  request.from = job.connect;
  request.to = job.to;
  request.pool = plan.pool;
  for (const FleetDisk& disk : job.disks) {
    request.disks[disk.dev] = disk.target;
    if (!disk.base.empty()) {
      request.bases[disk.dev] = disk.base;
    }
  }
  request.mode = job.way;
  request.rewrite_only = job.rewrite_only;
  request.no_shutdown = job.way == MigrateMode::kOffline && !job.shut_down;
  request.snapshots = job.snapshots;
  request.monitors = plan.ceph.monitors;
  request.user = plan.ceph.id;
  request.secret = plan.ceph.secret;
  request.define_secret = plan.ceph.define_secret;
  // The name that Ceph's own manual gives it.
  if (!request.user.empty() && request.secret.uuid.empty() && request.secret.usage.empty()) {
    request.secret.usage = "client." + request.user + " secret";
  }
  request.layout.data_pool = plan.ceph.data_pool;
  return request;
}

}  // namespace vmferry
