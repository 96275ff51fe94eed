// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "lib/core/counted.h"
#include "lib/fleet/place.h"
#include "vmferry/error.h"

namespace vmferry {
namespace fleet {
namespace {

constexpr int kTries = 50;  // workers change things at the same time
constexpr std::chrono::milliseconds kBetween{20};

Error refused(const std::string& what, const char* action, const std::string& cause,
              const std::string& hint = {}) {
  return Error({.kind = ErrorKind::kConflict,
                .object = what,
                .action = action,
                .cause = cause,
                .hint = hint});
}

bool is_over(const JobEntry& job) {
  return job.status.state == FleetJobState::kFailed ||
         job.status.state == FleetJobState::kCancelled;
}

/// One command, tried until nothing else changed meanwhile.
class Commander {
 public:
  explicit Commander(Ledger& ledger) : ledger_(ledger), what_(ledger.what()) {}

  std::string run(FleetCommand command, const std::string& guest) {
    for (int tried = 0; tried < kTries; ++tried) {
      facts_ = ledger_.facts();
      const auto said = guest.empty() ? all(command) : one(command, guest);
      if (said) {
        return *said;
      }
      std::this_thread::sleep_for(kBetween);
    }
    throw refused(what_, "change", "workers changed it each time", "try again");
  }

 private:
  /// Nothing: something else changed meanwhile.
  using Said = std::optional<std::string>;

  static Said said(bool done, std::string text) {
    return done ? Said(std::move(text)) : std::nullopt;
  }

  Said all(FleetCommand command) {
    Control control = facts_.control;
    switch (command) {
      case FleetCommand::kPause:
        require_going_on("pause");
        control.state = "paused";
        return said(ledger_.change_control(facts_, control),
                    "paused: no job begins, and copies of guests that are off stop where they can "
                    "go on later");
      case FleetCommand::kCancel:
        require_going_on("cancel");
        return cancel_all();
      case FleetCommand::kResume:
        if (control.state != "paused" && control.state != "stopped") {
          throw refused(what_, "resume", "it is " + control.state,
                        control.state == "cancelled" ? "'fleet retry' begins it again" : "");
        }
        return begin_again({}, "goes on");
      case FleetCommand::kRetry:
        return retry_all();
      case FleetCommand::kGiveUp:
        throw refused(what_, "give up", "no guest is named", "name one: GUEST@HOST");
    }
    return std::nullopt;
  }

  void require_going_on(const char* action) {
    if (facts_.control.state == "cancelled" || facts_.count.left.empty()) {
      throw refused(what_, action, "it has ended", "see 'vmferry fleet status'");
    }
  }

  Said cancel_all() {
    Control control = facts_.control;
    control.state = "cancelled";
    control.why.clear();
    // What those have left half done, their hosts undo as they do of pending ones.
    std::vector<JobEntry> jobs = ledger_.jobs();
    std::erase_if(jobs, [](const JobEntry& job) {
      return job.status.state != FleetJobState::kPaused || job.status.attempts == 0;
    });
    return said(ledger_.change_jobs(jobs, FleetJobState::kPending, facts_, control),
                "cancelled: no job begins, and what runs is undone");
  }

  Said begin_again(const std::vector<JobEntry>& jobs, const std::string& text) {
    Control control = facts_.control;
    control.state = "running";
    control.why.clear();
    return said(ledger_.change_jobs(jobs, FleetJobState::kPending, facts_, control), text);
  }

  Said retry_all() {
    std::vector<JobEntry> jobs = ledger_.jobs();
    std::erase_if(jobs, [](const JobEntry& job) { return !is_over(job); });
    if (jobs.empty() && facts_.control.state != "cancelled") {
      throw refused(what_, "retry", "no job failed, and none was cancelled");
    }
    return begin_again(jobs, "tried again: " + counted(jobs.size(), "job"));
  }

  JobEntry find(const std::string& guest) {
    std::vector<JobEntry> jobs = ledger_.jobs();
    std::erase_if(jobs, [&](const JobEntry& job) {
      return job.status.guest != guest && job.status.guest + "@" + job.status.host != guest;
    });
    if (jobs.empty()) {
      throw Error({.kind = ErrorKind::kNotFound,
                   .object = what_,
                   .action = "look for guest '" + guest + "'",
                   .cause = "its plan has no such guest",
                   .hint = "'vmferry fleet status' lists them"});
    }
    if (jobs.size() > 1) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = what_,
                   .action = "look for guest '" + guest + "'",
                   .cause = "several hosts have one of that name",
                   .hint = "write " + guest + "@" + jobs.front().status.host + ", for example"});
    }
    return std::move(jobs.front());
  }

  Said one(FleetCommand command, const std::string& guest) {
    const JobEntry job = find(guest);
    switch (command) {
      case FleetCommand::kPause:
        return pause(job);
      case FleetCommand::kResume:
        return resume(job);
      case FleetCommand::kCancel:
        return cancel(job);
      case FleetCommand::kRetry:
        return retry(job);
      case FleetCommand::kGiveUp:
        return give_up(job);
    }
    return std::nullopt;
  }

  Said become(const JobEntry& job, FleetJobState state, const std::string& asked,
              const std::string& text) {
    FleetJobStatus wanted = job.status;
    wanted.state = state;
    wanted.asked = asked;
    wanted.error.clear();
    wanted.hint.clear();
    wanted.deaths = 0;
    if (state == FleetJobState::kPending) {
      wanted.ended = 0;
    }
    return said(ledger_.change_job(job, wanted, facts_), job.status.guest + ": " + text);
  }

  [[noreturn]] void refuse(const JobEntry& job, const char* action) {
    throw refused(what_ + ", guest '" + job.status.guest + "'", action,
                  "it is " + word_of(job.status.state));
  }

  Said pause(const JobEntry& job) {
    switch (job.status.state) {
      case FleetJobState::kPending:
        return become(job, FleetJobState::kPaused, job.status.asked, "paused");
      case FleetJobState::kRunning:
        return become(job, FleetJobState::kRunning, "pause",
                      "its worker stops it where it can go on later; a live move goes on to its "
                      "end");
      default:
        refuse(job, "pause");
    }
  }

  Said resume(const JobEntry& job) {
    if (job.status.state == FleetJobState::kPaused) {
      return become(job, FleetJobState::kPending, job.status.asked, "goes on");
    }
    if (job.status.state == FleetJobState::kRunning && job.status.asked == "pause") {
      return become(job, FleetJobState::kRunning, "", "goes on");
    }
    refuse(job, "resume");
  }

  Said cancel(const JobEntry& job) {
    const bool begun = job.status.attempts > 0;
    switch (job.status.state) {
      case FleetJobState::kPending:
      case FleetJobState::kPaused:
        // What a run left half done, its host has to undo.
        return begun ? become(job, FleetJobState::kPending, "cancel", "its worker undoes it")
                     : become(job, FleetJobState::kCancelled, "", "cancelled");
      case FleetJobState::kRunning:
        return become(job, FleetJobState::kRunning, "cancel", "its worker undoes it");
      default:
        refuse(job, "cancel");
    }
  }

  /// Its host has what is left of it; nobody else can do anything about that.
  Said give_up(const JobEntry& job) {
    if (job.status.state != FleetJobState::kRunning) {
      refuse(job, "give up");
    }
    if (ledger_.is_alive(job.status.worker)) {
      throw refused(what_ + ", guest '" + job.status.guest + "'", "give up",
                    "its worker is not dead, or has been silent for less than its lease",
                    "cancel it without --give-up, or try again in a minute");
    }
    return said(ledger_.give_up(job),
                job.status.guest + ": given up; what was begun is left on " + job.status.host);
  }

  Said retry(const JobEntry& job) {
    if (facts_.control.state == "cancelled") {
      throw refused(what_, "retry", "it is cancelled",
                    "'fleet retry' without a guest begins all of it again");
    }
    if (!is_over(job)) {
      refuse(job, "retry");
    }
    const bool goes_on = facts_.control.state == "running";
    return become(job, FleetJobState::kPending, "",
                  goes_on ? "is tried again"
                          : "is tried again once the fleet goes on: it is " + facts_.control.state);
  }

  Ledger& ledger_;
  const std::string what_;
  FleetFacts facts_;
};

}  // namespace

std::string command(Ledger& ledger, FleetCommand command, const std::string& guest) {
  return Commander(ledger).run(command, guest);
}

}  // namespace fleet

std::string command_fleet(const FleetPlace& place, FleetCommand command, const std::string& guest) {
  fleet::OpenFleet fleet(place);
  std::string said = fleet::command(fleet.ledger(), command, guest);
  if (command != FleetCommand::kPause) {
    fleet::put_on_list(fleet.place(), fleet.ledger().who());  // who was done may have new work
  }
  fleet.object().wake_all();
  return said;
}

}  // namespace vmferry
