// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <vector>

#include "lib/core/utc_time.h"
#include "lib/migrate/journal.h"
#include "lib/migrate/run.h"
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"
#include "vmferry/location.h"
#include "vmferry/sync.h"
#include "vmferry/target.h"

// The loop over a plan: a step is written down, done, written down. What fails before the point of
// no return is undone backwards; after it, the journal stays for --recover.

namespace vmferry {
namespace migrate {
namespace {

class Execution {
 public:
  Execution(Journal journal, const MigrateContext& context, bool recovering)
      : journal_(std::move(journal)),
        plan_(journal_.plan()),
        context_(context),
        run_(plan_, context_, journal_, recovering) {
    for (const Step& step : plan_.steps) {
      works_.push_back(find_step(step.name)->make(run_));
    }
    if (run_.begins_on_overlays()) {
      journal_.note(Notes::kFrozen);
      journal_.note(Notes::kOverlaid);
    }
  }

  /// Of a run that begins.
  MigrateReport execute() {
    try {
      run_.require_planned_state();
    } catch (const Error&) {
      journal_.remove();
      throw;
    }
    return forward();
  }

  MigrateReport recover(Recovery recovery) {
    bool is_gone = false;
    try {
      run_.require_same_machine();
      run_.wait_until_idle();
      run_.clear_half_started();
      is_gone = run_.machine_is_gone();
    } catch (const Error& error) {
      fail_recovery(error, recovery);
    }
    if (is_gone) {
      return leave(recovery);
    }
    if (recovery == Recovery::kFinish) {
      return forward();
    }
    if (recovery == Recovery::kStay) {
      return stay();
    }
    bool onward = false;
    try {
      onward = !undone(recovery);
    } catch (const std::exception& exception) {
      // libvirt may have done what the dead run had asked of it only now.
      onward = recovery == Recovery::kAuto && turned().value_or(false);
      if (!onward) {
        fail_recovery(as_error(exception), recovery);
      }
    }
    return onward ? forward() : MigrateReport();
  }

  /// Nobody can tell which of the images holds the newest data: they stay.
  MigrateReport leave(Recovery recovery) {
    const std::string kept = journal_.keep("source", plan_.original_persistent);
    if (recovery != Recovery::kUndo) {
      fail(ErrorKind::kNotFound, plan_.request.domain, "go on with the move",
           "it is not defined any more",
           "define it again (as it was before the move: " + kept +
               "); or end the run, which removes no image: " + command("--undo"));
    }
    for (const MovingDisk& disk : plan_.disks) {
      context_.observer->warning("the data of " + disk.dev +
                                 " is on one of: " + run_.places_of(disk));
    }
    for (const std::string& command : run_.unfinished_copies()) {
      context_.observer->warning("an unfinished copy may be left, which holds nothing newer: " +
                                 command);
    }
    context_.observer->warning("the definition as it was before the move is kept: " + kept);
    if (journal_.noted(Notes::kSaved)) {
      context_.observer->warning("what libvirt knew of its snapshots is kept: " +
                                 journal_.kept_path("snapshot-*"));
    }
    journal_.remove();
    MigrateReport report;
    report.end = MigrateReport::End::kLeft;
    return report;
  }

  MigrateReport forward() { return forward(plan_.steps.size()); }

  /// Up to the step in which the guest would leave.
  MigrateReport stay() {
    const size_t leave = leaving_step();
    try {
      if (leave == plan_.steps.size()) {
        fail(ErrorKind::kConflict, plan_.request.domain, "stay on this host",
             "only a staged move to another host can end so", "finish or undo it: " + command());
      }
      run_.stay_here();
    } catch (const std::exception& exception) {
      fail_recovery(as_error(exception), Recovery::kStay);
    }
    return forward(leave);
  }

  MigrateReport forward(size_t end) {
    for (size_t i = 0; i < end; ++i) {
      try {
        if (journal_.status(i) == StepStatus::kDone && works_[i]->settled()) {
          continue;
        }
        run(i);
      } catch (const std::exception& exception) {  // memory may be short in the middle of a move
        give_up(i, as_error(exception));
      }
    }
    run_.warn_of_paused_guest();
    MigrateReport report = run_.report();
    if (report.end == MigrateReport::End::kMoved) {
      keep_record(report);
    }
    journal_.remove();
    return report;
  }

  /// The journal knows of it before it is there: a run that is killed now may still be undone.
  void keep_record(const MigrateReport& report) {
    if (!context_.keep_record) {
      return;
    }
    const std::string path = record_path(plan_.request.domain, context_.state_dir, utc_now());
    journal_.record(Notes::kRecord, path);
    context_.keep_record(report, path);
  }

  /// Of a move that is undone.
  void remove_record() {
    const auto path = journal_.recorded(Notes::kRecord);
    if (!path) {
      return;
    }
    std::error_code none;
    std::filesystem::remove(*path, none);
    try {
      remove_unfinished(PathLocation{*path}, {});
    } catch (const Error&) {
      return;  // it says nothing under its temporary name
    }
  }

  /// Undoes what was begun, the guest first; throws what cannot be undone.
  void backward() {
    remove_record();
    run_.drop_gone_disks();
    if (run_.made_something()) {
      run_.require_known_places();
    }
    for (size_t i = plan_.steps.size(); i-- > 0;) {
      const StepStatus status = journal_.status(i);
      if (status == StepStatus::kPending || status == StepStatus::kUndone) {
        continue;
      }
      const Step& step = plan_.steps[i];
      if (!works_[i]->only_makes()) {
        say_undo(step);
      }
      works_[i]->undo();
      journal_.set_status(i, StepStatus::kUndone);
    }
    for (size_t i = plan_.steps.size(); i-- > 0;) {
      if (journal_.status(i) == StepStatus::kPending) {
        continue;
      }
      if (works_[i]->only_makes()) {
        say_undo(plan_.steps[i]);
      }
      works_[i]->clean();
    }
    if (!run_.left_over().empty()) {
      run_.fail_left_over();
    }
    run_.warn_of_paused_guest();
    journal_.remove();
  }

 private:
  /// False, and nothing done: the run is to be finished. Throws what cannot be undone.
  bool undone(Recovery recovery) {
    run_.drop_gone_disks();
    if (run_.made_something()) {
      run_.require_known_places();
    }
    const bool turned = run_.turned();
    if (recovery == Recovery::kAuto && (turned || run_.better_finished())) {
      return false;
    }
    if (turned) {
      fail(ErrorKind::kConflict, plan_.request.domain, "undo the move", what_turned(),
           "finish it: " + command() + or_stay() + "; then move back with --to-dir or --to");
    }
    run_.undo_alone();
    backward();
    return true;
  }

  /// Why there is no way back.
  std::string what_turned() const {
    switch (plan_.kind) {
      case RunKind::kSync:
        return "the volumes have what was to be synchronised already";
      case RunKind::kStop:
        return "the guest goes back to its old disks already";
      default:
        return "the guest depends on its new disks already";
    }
  }

  std::string command(const std::string& option = {}) const {
    return recover_command(plan_.kind, plan_.request.domain, context_.state_dir, option);
  }

  size_t leaving_step() const {
    const auto leaves = [](const Step& step) { return step.name == MigrateShared::kName; };
    return static_cast<size_t>(std::find_if(plan_.steps.begin(), plan_.steps.end(), leaves) -
                               plan_.steps.begin());
  }

  std::string or_stay() const {
    if (leaving_step() == plan_.steps.size() || !run_.may_stay()) {
      return {};
    }
    return ", or leave the guest on this host: " + command("--stay");
  }

  void say_undo(const Step& step) {
    if (!step.undo.empty()) {
      context_.observer->step("undo: " + step.undo);
    }
  }

  [[noreturn]] void fail_recovery(const Error& error, Recovery recovery) const {
    const char* const option = recovery == Recovery::kUndo     ? "--undo"
                               : recovery == Recovery::kFinish ? "--finish"
                               : recovery == Recovery::kStay   ? "--stay"
                                                               : "";
    ErrorParts parts = run_.about_lost_host(error.parts());
    if (parts.hint.find("--recover") == std::string::npos) {
      parts.hint +=
          fmt::format("{}try again with: {}", parts.hint.empty() ? "" : "; then ", command(option));
    }
    throw Error(parts);
  }

  void run(size_t i) {
    // After the point of no return a stop makes nothing better: the rest is short.
    if (!beyond_return(i) && context_.stop.stop_requested()) {
      throw cancelled_error();
    }
    context_.observer->step(plan_.steps[i].text);
    journal_.set_status(i, StepStatus::kBegun);
    run_with_what_is_there(*works_[i]);
    journal_.set_status(i, StepStatus::kDone);
  }

  /// A disk that is taken away in the middle of a step may fail it: the others go on.
  void run_with_what_is_there(StepWork& work) {
    run_.drop_gone_disks();
    while (true) {
      run_.require_known_places();
      try {
        return work.run();
      } catch (const Error&) {
        if (!one_is_gone()) {
          throw;
        }
      }
    }
  }

  bool one_is_gone() {
    try {
      return run_.drop_gone_disks();
    } catch (const Error&) {
      return false;  // what made somebody ask counts more
    }
  }

  bool beyond_return(size_t failed) const {
    for (size_t i = 0; i <= failed; ++i) {
      const NoReturn no_return = find_step(plan_.steps[i].name)->no_return;
      if (no_return == NoReturn::kOnceDone && journal_.status(i) == StepStatus::kDone) {
        return true;
      }
      if (no_return == NoReturn::kOnceBegun && journal_.status(i) != StepStatus::kPending) {
        return true;
      }
    }
    return false;
  }

  /// Does the guest depend on its new disks? How things are counts more than what was tried.
  /// Nothing: nobody can tell.
  std::optional<bool> turned() const {
    try {
      return run_.turned();
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  [[noreturn]] void give_up(size_t failed, const Error& error) {
    const std::optional<bool> turned = this->turned();
    if (turned.value_or(beyond_return(failed))) {
      ErrorParts parts = run_.about_lost_host(error.parts());
      parts.hint =
          (turned ? what_turned() + ", but not all is done; finish it with: "
                  : "the guest may depend on its new disks; this finds out, and ends it: ") +
          command() + or_stay() + (parts.hint.empty() ? "" : "; and " + parts.hint);
      throw Error(parts);
    }
    // What was stopped is still put back as it was; only a second stop ends that, and us.
    context_.stop = {};
    try {
      backward();
    } catch (const std::exception& exception) {
      const Error left = as_error(exception);
      ErrorParts parts = run_.about_lost_host(error.parts());
      parts.hint = fmt::format("not everything could be undone: {}{}; try again with: {}{}",
                               left.what(), left.hint().empty() ? "" : " (" + left.hint() + ")",
                               command(), parts.hint.empty() ? "" : "; and: " + parts.hint);
      throw Error(parts);
    }
    context_.observer->step(run_.was_stopped()
                                ? "everything is as it was before, but the guest was stopped "
                                  "meanwhile: it is off"
                                : "everything is as it was before");
    throw Error(error.parts());
  }

  Journal journal_;
  const Plan& plan_;
  MigrateContext context_;
  Run run_;
  std::vector<std::unique_ptr<StepWork>> works_;  ///< of the steps of the plan
};

}  // namespace
}  // namespace migrate

MigrateReport execute_migration(const Plan& plan, const MigrateContext& context) {
  for (const Step& step : plan.steps) {
    if (migrate::find_step(step.name) == nullptr) {
      migrate::fail(ErrorKind::kUsage, plan.request.domain, "migrate",
                    "its plan has an unknown step: '" + step.name + "'");
    }
  }
  return migrate::Execution(migrate::Journal::begin(plan, context.state_dir), context, false)
      .execute();
}

std::string without_target(const std::string& domain, const MigrateContext& context) {
  migrate::Journal journal = migrate::Journal::open(domain, context.state_dir);
  return migrate::Run(journal.plan(), context, journal, true).ways_alone();
}

MigrateReport recover_migration(const MigrateRequest& request, Recovery recovery,
                                const MigrateContext& context) {
  migrate::Journal journal = migrate::Journal::open(request.domain, context.state_dir);
  journal.change_request(request);
  return migrate::Execution(std::move(journal), context, true).recover(recovery);
}

}  // namespace vmferry
