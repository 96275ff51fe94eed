// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/fleet_clean.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <map>
#include <memory>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/fleet_options.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/error.h"
#include "vmferry/migrate.h"

namespace vmferry::cli {
namespace {

constexpr uint64_t kWeek = 604'800;  // seconds

struct CleanOptions {
  FleetPlace place;
  std::string guest;
  std::string connect;
  std::string host;
  std::string state_dir = default_state_dir();
  uint64_t older_than = kWeek;  ///< seconds
  bool yes = false;
};

/// What was found, and done.
struct CleanSums {
  size_t removed = 0;
  uint64_t removed_bytes = 0;
  size_t stay = 0;
  size_t early = 0;
};

Error clean_usage(std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kUsage,
                .object = "fleet clean",
                .action = {},
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

std::string old_name(const FleetOldDisk& old) {
  return fmt::format("{} {}: {}", old.job.name, old.disk.dev, old.disk.from);
}

void tell_line(const std::string& line) { print(printable(line) + "\n"); }

class Cleaning {
 public:
  Cleaning(Session& session, const CleanOptions& options) : session_(session), options_(options) {
    cleaning_.host = connect_host(options.connect);
    const HostFacts facts = cleaning_.host->facts();
    if (!facts.local) {
      throw clean_usage(facts.uri + " is not on this machine, whose files would be removed",
                        "run it on that host, and leave --connect out");
    }
    host_ = options.host.empty() ? facts.hostname : options.host;
    storage_ = host_and_cluster({.ceph = options.place.ceph,
                                 .layout = {},
                                 .monitors = {},
                                 .stop = session.stop(),
                                 .before_making = {},
                                 .notice = say_notice});
    cleaning_.storage = storage_.get();
    cleaning_.state_dir = options.state_dir;
    cleaning_.older_than = std::chrono::seconds(options.older_than);
  }

  int run() {
    const FleetReport report = fleet_report(options_.place);
    place_ = {.pool = report.status.pool, .name = report.status.name, .ceph = options_.place.ceph};
    require_guest(report.plan);
    for (const FleetOldDisk& old : old_disks(report)) {
      if (!is_wanted(old)) {
        continue;
      }
      if (old.job.host == host_) {
        look(old);
      } else {
        ++elsewhere_[old.job.host];
      }
    }
    if (!may_go_.empty() && is_agreed()) {
      remove_all();
    }
    tell_end();
    return sums_.stay == 0 ? 0 : 1;
  }

 private:
  bool is_wanted(const FleetOldDisk& old) const {
    const std::string& guest = options_.guest;
    return guest.empty() || guest == old.job.name || guest == old.job.name + "@" + old.job.host;
  }

  void require_guest(const FleetPlan& plan) const {
    for (const FleetJob& job : plan.jobs) {
      if (is_wanted({.number = 0, .job = job, .disk = {}, .moved = 0})) {
        return;
      }
    }
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = "fleet '" + place_.name + "'",
                 .action = "look for guest '" + options_.guest + "'",
                 .cause = "its plan has no such guest",
                 .hint = "'vmferry fleet status' lists them"});
  }

  void look(const FleetOldDisk& old) {
    const OldDiskVerdict verdict = judge_old_disk(old, cleaning_);
    switch (verdict.fate) {
      case OldDiskFate::kMayGo:
        tell_line(fmt::format("{} ({}): may be removed", old_name(old),
                              about_bytes(old.disk.old->taken)));
        return may_go_.push_back(old);
      case OldDiskFate::kGone:
        note_gone_disk(place_, old, cleaning_.now());
        return tell_line(old_name(old) + ": is gone already");
      case OldDiskFate::kTooEarly:
        ++sums_.early;
        return tell_line(fmt::format("{}: too early: {}", old_name(old), verdict.why));
      case OldDiskFate::kStays:
        ++sums_.stay;
        return tell_line(fmt::format("{}: stays: {}", old_name(old), verdict.why));
    }
  }

  bool is_agreed() const {
    if (options_.yes) {
      return true;
    }
    if (::isatty(STDIN_FILENO) == 0) {
      tell_line("nothing is removed without --yes");
      return false;
    }
    say(fmt::format("Remove {} old disks for good? [y/N] ", may_go_.size()));
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
  }

  void remove_all() {
    session_.making_something("vmferry: interrupted twice; 'vmferry fleet clean' goes on\n");
    for (const FleetOldDisk& old : may_go_) {
      if (session_.stop().stop_requested()) {
        throw cancelled_error();
      }
      try {
        remove_old_disk(place_, old, cleaning_);
        ++sums_.removed;
        sums_.removed_bytes += old.disk.old->taken;
        tell_line(old_name(old) + ": removed");
      } catch (const Error& error) {
        ++sums_.stay;
        say_line(fmt::format("vmferry: {}", error.what()));
        if (!error.hint().empty()) {
          say_line("hint: " + error.hint());
        }
      }
    }
  }

  void tell_end() const {
    tell_line(fmt::format("{} removed ({}), {} stay, {} are too early", sums_.removed,
                          about_bytes(sums_.removed_bytes), sums_.stay, sums_.early));
    for (const auto& [host, count] : elsewhere_) {
      tell_line(fmt::format("{} are left on {}: run 'vmferry fleet clean {}' there", count, host,
                            place_.name));
    }
  }

  Session& session_;
  const CleanOptions& options_;
  FleetPlace place_;
  std::string host_;
  FleetCleaning cleaning_;
  std::unique_ptr<MigrationStorage> storage_;
  std::vector<FleetOldDisk> may_go_;
  std::map<std::string, size_t> elsewhere_;
  CleanSums sums_;
};

}  // namespace

std::function<int(Session&)> add_fleet_clean(CLI::App& app) {
  static const std::map<std::string, uint64_t> kUnits = {
      {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 24 * 3600}, {"w", kWeek}};
  CLI::AsNumberWithUnit unit(kUnits, CLI::AsNumberWithUnit::UNIT_REQUIRED);
  unit.description("");  // else --help has it beside TIME
  auto options = std::make_shared<CleanOptions>();
  add_fleet_place(app, options->place);
  app.add_option("GUEST", options->guest,
                 "Only this guest; GUEST@HOST where several hosts have one of that name");
  app.add_option("--older-than", options->older_than,
                 "Only of guests that moved at least so long ago: 12h, 7d, 2w (default: 7d)")
      ->type_name("TIME")
      ->transform(unit);
  app.add_flag("--yes", options->yes, "Remove what may be removed, and do not ask");
  app.add_option("--connect", options->connect, "libvirt of this host (default: virsh's)")
      ->type_name("URI");
  app.add_option("--host", options->host,
                 "Clean the host that the plan calls so (default: what libvirt calls this one)")
      ->type_name("NAME");
  app.add_option("--state-dir", options->state_dir,
                 "Where the records of moves are (default: /var/lib/vmferry for root)")
      ->type_name("DIR");
  app.footer(
      "Examples:\n"
      "  vmferry fleet clean move1                       says what would go, and asks\n"
      "  vmferry fleet clean move1 --older-than 2w --yes\n"
      "\nSee vmferry-fleet(1).");
  return [options](Session& session) { return Cleaning(session, *options).run(); };
}

}  // namespace vmferry::cli
