// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/migrate_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/version.h"

namespace vmferry::cli {
namespace {

using Json = nlohmann::ordered_json;

const char* word(MigrateReport::End end) {
  switch (end) {
    case MigrateReport::End::kMoved:
      return "moved";
    case MigrateReport::End::kUndone:
      return "undone";
    case MigrateReport::End::kLeft:
      return "left";
    case MigrateReport::End::kSynced:
      return "synced";
    case MigrateReport::End::kStopped:
      return "stopped";
  }
  return "";
}

const char* word(Check::Result result) {
  switch (result) {
    case Check::Result::kPassed:
      return "ok";
    case Check::Result::kWarning:
      return "warning";
    case Check::Result::kFailed:
      return "FAILED";
  }
  return "";
}

const char* method(CopyMethod method) {
  switch (method) {
    case CopyMethod::kOffline:
      return "offline";
    case CopyMethod::kStaged:
      return "staged";
    case CopyMethod::kMirrored:
      return "mirror";
  }
  return "";
}

std::string way(const Plan& plan) {
  if (plan.method == CopyMethod::kOffline) {
    return plan.was_running ? "offline, with a shutdown" : "offline";
  }
  return plan.method == CopyMethod::kStaged ? "live, staged" : "live, mirrored";
}

std::string goal(const Plan& plan, const MovingDisk& disk) {
  return plan.request.to_files() ? disk.image.path : disk.volume.display();
}

/// Of the new disks. A volume is raw.
ImageLayout layout_of(const Plan& plan) {
  return plan.request.to_files() ? plan.request.file_layout : ImageLayout();
}

/// " (qcow2, zstd)"; nothing for disks that are raw, as most are.
std::string layout_in_words(const Plan& plan) {
  const ImageLayout layout = layout_of(plan);
  if (!layout.format.is_container()) {
    return {};
  }
  return fmt::format(" ({}{})", layout.format.name(),
                     layout.compression ? ", " + *layout.compression : "");
}

Json usage(const Usage& usage) {
  return {{"virtual_bytes", usage.virtual_bytes}, {"allocated_bytes", usage.allocated_bytes}};
}

/// Names in it, of whomever, cannot begin another line.
template <typename... Arguments>
std::string line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  return printable(fmt::format(format, std::forward<Arguments>(arguments)...)) + "\n";
}

}  // namespace

std::string checks_text(const Plan& plan, bool failed_only) {
  std::string text;
  for (const Check& check : plan.checks) {
    if (failed_only && check.result == Check::Result::kPassed) {
      continue;
    }
    text += line("  {:<8} {}: {}", word(check.result), check.name, check.message);
    if (!check.hint.empty()) {
      text += line("           hint: {}", check.hint);
    }
  }
  return text;
}

std::string plan_text(const Plan& plan) {
  std::string text = line("Plan for {}: {}{}", plan.request.domain, way(plan),
                          plan.request.to_other_host() ? ", to another host" : "");
  text += "\nDisks\n";
  for (const MovingDisk& disk : plan.disks) {
    text += line("  {:<6} {} -> {}{}", disk.dev, disk.original, goal(plan, disk),
                 layout_in_words(plan)) +
            line("         {} of data, {} for the guest ({} bytes)", about_bytes(disk.data),
                 about_bytes(disk.size), disk.size);
  }
  for (const std::string& stays : plan.stays) {
    text += line("  stays: {}", stays);
  }
  text += "\nChecks\n" + checks_text(plan, false) + "\nSteps\n";
  size_t number = 0;
  for (const Step& step : plan.steps) {
    text += line("  {:2}. {}", ++number, step.text);
    if (!step.undo.empty()) {
      text += line("        undo: {}", step.undo);
    }
    if (!step.no_return.empty()) {
      text += line("        {}", step.no_return);
    }
  }
  text += "\n" +
          line("Expected: about {:.0f} s (a guess from the amount of data)", plan.expected_seconds);
  return text;
}

std::string plan_json(const Plan& plan) {
  Json disks = Json::array();
  for (const MovingDisk& disk : plan.disks) {
    disks.push_back({{"disk", disk.dev},
                     {"from", disk.original},
                     {"to", goal(plan, disk)},
                     {"format", layout_of(plan).format.name()},
                     {"virtual_bytes", disk.size},
                     {"allocated_bytes", disk.data}});
  }
  Json checks = Json::array();
  for (const Check& check : plan.checks) {
    checks.push_back(
        {{"check", check.name},
         {"result", check.result == Check::Result::kFailed ? "failed" : word(check.result)},
         {"message", check.message},
         {"hint", check.hint}});
  }
  Json steps = Json::array();
  for (const Step& step : plan.steps) {
    steps.push_back(
        {{"step", step.text}, {"undo", step.undo}, {"only_forward", !step.no_return.empty()}});
  }
  const Json json = {{"domain", plan.request.domain},
                     {"live", is_live(plan.method)},
                     {"method", method(plan.method)},
                     {"other_host", plan.request.to_other_host()},
                     {"possible", plan.possible()},
                     {"disks", disks},
                     {"stays", plan.stays},
                     {"checks", checks},
                     {"steps", steps},
                     {"expected_seconds", plan.expected_seconds}};
  return json_text(json, 2);
}

std::string report_text(const std::string& domain, const MigrateReport& report) {
  std::string text = line("{}: moved in {:.1f} s", domain, report.seconds);
  for (const MigrateReport::Disk& disk : report.disks) {
    text += line("  {}: {} ({} of {}) -> {} ({} of {})", disk.dev, disk.from,
                 about_bytes(disk.before.allocated_bytes), about_bytes(disk.before.virtual_bytes),
                 disk.to, about_bytes(disk.after.allocated_bytes),
                 about_bytes(disk.after.virtual_bytes));
    if (disk.copy.kept_bytes > 0) {
      text += line("         {} of it had been copied before the run was killed",
                   about_bytes(disk.copy.kept_bytes));
    }
    if (!disk.copy.snapshots.empty()) {
      text += line(
          "         with its snapshots: {}; 'rbd snap rollback' returns to one while the "
          "guest is shut off",
          fmt::join(disk.copy.snapshots, ", "));
    }
  }
  if (report.downtime_ms) {
    text += line("  the guest did not run for {} ms", *report.downtime_ms);
  }
  if (!report.kept.empty()) {
    text += "Kept, and yours to remove when all is well:\n";
    for (const std::string& kept : report.kept) {
      text += line("  {}", kept);
    }
  }
  if (!report.forgotten.empty()) {
    text += "libvirt no longer knows of the snapshots. What it knew is kept:\n";
    for (const std::string& file : report.forgotten) {
      text += line("  {}", file);
    }
  }
  return text;
}

namespace {

Json report_as_json(const std::string& domain, const MigrateReport& report) {
  Json disks = Json::array();
  for (const MigrateReport::Disk& disk : report.disks) {
    Json one = {{"disk", disk.dev},
                {"from", disk.from},
                {"to", disk.to},
                {"format", disk.format},
                {"before", usage(disk.before)},
                {"after", usage(disk.after)},
                {"kept_bytes", disk.copy.kept_bytes}};
    if (!disk.copy.snapshots.empty()) {
      one["snapshots"] = disk.copy.snapshots;
    }
    if (!disk.copy.digest.empty()) {
      one["copied_digest"] = disk.copy.digest;
    }
    if (disk.old) {
      one["old"] = {{"path", disk.old->path},
                    {"format", disk.old->format},
                    {"identity", disk.old->identity},
                    {"size_bytes", disk.old->size},
                    {"modified_ns", disk.old->modified},
                    {"allocated_bytes", disk.old->taken}};
    }
    disks.push_back(std::move(one));
  }
  Json json = {{"domain", domain},
               {"end", word(report.end)},
               {"disks", disks},
               {"kept", report.kept},
               {"seconds", report.seconds}};
  if (!report.forgotten.empty()) {
    json["forgotten_snapshots"] = report.forgotten;
  }
  if (report.downtime_ms) {
    json["downtime_ms"] = *report.downtime_ms;
  }
  return json;
}

}  // namespace

std::string report_json(const std::string& domain, const MigrateReport& report) {
  return json_text(report_as_json(domain, report));
}

std::string record_json(const std::string& domain, const MigrateReport& report,
                        const std::string& ended) {
  Json record = {{"vmferry", kVersion}, {"ended", ended}};
  record.update(report_as_json(domain, report));
  return json_text(record, 2);
}

void ConsoleObserver::step(const std::string& text) {
  display_.reset();
  if (trace_) {
    trace_->note(text);
  }
  if (style_ == ProgressStyle::kJson) {
    say(json_text(Json{{"step", text}}) + "\n");
  } else if (!quiet_) {
    say_line(text);
  }
}

void ConsoleObserver::warning(const std::string& text) {
  display_.reset();
  if (trace_) {
    trace_->note("warning: " + text);
  }
  if (!quiet_) {
    say_line("vmferry: warning: " + text);
  }
}

void ConsoleObserver::job(const std::string& what, uint64_t done, uint64_t total,
                          uint64_t dirty_rate) {
  job_.data_total = total;
  job_.total_known = total != 0;
  job_.data_done = done;
  if (!display_) {
    display_.emplace(session_, style_, what, job_, std::vector<const Source*>());
  }
  display_->set_dirty_rate(dirty_rate);
}

}  // namespace vmferry::cli
