// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/run.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "lib/core/shell_word.h"
#include "lib/domain/targets.h"
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

Run::Run(const Plan& plan, const MigrateContext& context, Journal& journal, bool recovering)
    : plan_(plan),
      context_(context),
      journal_(journal),
      recovering_(recovering),
      places_(places_for(plan.request, *context.storage)),
      source_(plan, context, *places_.fresh, context.source),
      target_(plan, context, *places_.fresh, context.target),
      began_(source_.now()),
      warm_(plan.kind == RunKind::kMove ? std::nullopt
                                        : read_sync_state(plan.request.domain, context.state_dir)) {
}

void Run::wait_until_idle() {
  source_.wait_until_idle();
  if (!target_is_known()) {
    return;
  }
  target_.wait_until_idle();
  wait_for_half_made();
}

bool Run::turned() const {
  if (journal_.noted(kRetired)) {
    return true;
  }
  if (plan_.kind == RunKind::kSync || plan_.kind == RunKind::kStop) {
    return plan_.kind == RunKind::kSync ? journal_.noted(kKept)
                                        : !pending(plan_.steps.front().name);
  }
  if (!is_live(plan_.method)) {
    return turned_offline();
  }
  if (journal_.noted(kLeft) || arrived()) {
    return true;
  }
  return std::any_of(plan_.disks.begin(), plan_.disks.end(), [this](const MovingDisk& disk) {
    if (journal_.noted(switched(disk))) {
      return true;
    }
    const Place place = source_.place(disk);
    return place == Place::kBridge || place == Place::kTarget;
  });
}

bool Run::turned_offline() const {
  if (target_.active()) {
    return !misplaced(target_, DefinitionKind::kLive);
  }
  if (!plan_.request.to_other_host() || !waits_at_target()) {
    return false;
  }
  // Both could be started. Where the old one was, that is what people work with.
  const DomainState old = source_.state();
  return old == DomainState::kAbsent || (old == DomainState::kShutOff && journal_.noted(kLeft));
}

bool Run::better_finished() const {
  return can_resume_copy() || is_defined_anew() || is_sync_copied();
}

/// Unless the old machine was started again: then that is the one that people work with.
bool Run::is_defined_anew() const {
  return !is_live(plan_.method) && target_.state() != DomainState::kAbsent &&
         !misplaced(target_, DefinitionKind::kPersistent) &&
         !(plan_.request.to_other_host() && source_.active());
}

bool Run::arrived() const {
  if (!target_is_known() || source_.active()) {
    return false;
  }
  if (target_.active()) {
    return true;
  }
  // It may have been stopped since: its definition tells that it was there.
  return target_.state() == DomainState::kShutOff &&
         !misplaced(target_, DefinitionKind::kPersistent);
}

bool Run::made_something() const {
  return journal_.noted(kFrozen) ||
         std::any_of(plan_.disks.begin(), plan_.disks.end(),
                     [this](const MovingDisk& disk) { return journal_.noted(made(disk)); });
}

bool Run::machine_is_gone() const {
  if (source_.state() != DomainState::kAbsent) {
    return false;
  }
  return !plan_.request.to_other_host() ||
         (target_is_known() && target_.state() == DomainState::kAbsent);
}

bool Run::pending(const std::string& step) const {
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    if (plan_.steps[i].name == step && journal_.status(i) != StepStatus::kPending) {
      return false;
    }
  }
  return true;
}

bool Run::under_way(const std::string& step) const {
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    if (plan_.steps[i].name == step) {
      return journal_.status(i) == StepStatus::kBegun;
    }
  }
  return false;
}

bool Run::waits_at_target() const {
  return target_.state() == DomainState::kShutOff &&
         !misplaced(target_, DefinitionKind::kPersistent);
}

bool Run::may_be_at_target() const {
  return !pending(MigrateShared::kName) || !pending(MigrateMirrored::kName) ||
         !pending(Define::kName);
}

void Run::undo_alone() {
  if (!plan_.request.to_other_host() || target_is_known()) {
    return;
  }
  if (!may_be_at_target()) {
    return;
  }
  // A guest that runs here with its old disks did not go there.
  if (!source_.active()) {
    fail(ErrorKind::kConflict, source_.name(), "undo the move",
         "it does not run here, and the other host cannot be asked whether it runs there",
         "start it here if you are sure that it does not run there, and try again");
  }
  context_.observer->warning("what the other host may have of it stays there; once it answers: " +
                             undefining(plan_.request.to));
}

void Run::stay_here() {
  if (!target_is_known()) {
    // A guest that runs here has not left.
    if (source_.active()) {
      return;
    }
    fail(ErrorKind::kConflict, source_.name(), "stay on this host",
         "it does not run here, and the other host cannot be asked whether it runs there",
         "start it here if you are sure that it does not run there, and try again");
  }
  if (arrived()) {
    fail(ErrorKind::kConflict, source_.name(), "stay on this host",
         "it is on the other host already", "finish the move: " + recovery("--finish"));
  }
  clear_half_made();
}

bool Run::may_stay() const {
  try {
    return !arrived();
  } catch (const Error&) {
    return true;
  }
}

std::optional<Clock::time_point> Run::deadline() const {
  if (plan_.request.timeout.count() == 0) {
    return std::nullopt;
  }
  return began_ + plan_.request.timeout;
}

void Run::came_back() {
  if (went_off_) {
    downtime_ms_ = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(source_.now() - *went_off_).count());
  }
}

MigrateReport Run::report() const {
  MigrateReport report;
  report.end = plan_.kind == RunKind::kSync   ? MigrateReport::End::kSynced
               : plan_.kind == RunKind::kStop ? MigrateReport::End::kStopped
                                              : MigrateReport::End::kMoved;
  for (const MovingDisk& disk : plan_.disks) {
    MigrateReport::Disk line{.dev = disk.dev,
                             .from = disk.first_image ? disk.first : disk.original,
                             .to = goal(disk),
                             .format = image_format(new_place(disk)),
                             .before = {},
                             .after = {},
                             .copy = {},
                             .old = {}};
    line.before = {.virtual_bytes = disk.size, .allocated_bytes = disk.data};
    line.after.virtual_bytes = disk.size;
    if (const auto copy = copies_.find(disk.dev); copy != copies_.end()) {
      line.copy = copy->second;
    }
    if (report.end == MigrateReport::End::kMoved) {
      see_ends(disk, line, report.kept);
    }
    report.disks.push_back(std::move(line));
  }
  const std::string definition = journal_.kept_path("source");  // also of a run that died since
  std::error_code none;
  if (journal_.noted(kLeft) && std::filesystem::exists(definition, none)) {
    report.kept.push_back(definition);
  }
  report.forgotten = forgotten_;
  report.downtime_ms = downtime_ms_;
  report.seconds = std::chrono::duration<double>(source_.now() - began_).count();
  return report;
}

void Run::see_ends(const MovingDisk& disk, MigrateReport::Disk& line,
                   std::vector<std::string>& kept) const {
  MovingDisk before = disk;
  if (disk.first_image && !disk.image.volume) {  // the overlay has what is newest of the old disk
    before.original = disk.first;
    before.image = *disk.first_image;
    kept.push_back(disk.original);
  }
  try {
    line.after = places_.fresh->usage(disk);
    if (places_.old->exists(before)) {
      kept.push_back(before.original);
    }
    line.old = places_.old->file(before);
  } catch (const std::exception& error) {
    context_.observer->warning(std::string("the move is complete, but: ") + error.what());
  }
}

void Run::try_to_remove(const std::string& command, const std::function<void()>& remove) {
  try {
    remove();
  } catch (const Error& error) {
    left_over_.push_back({.why = error.what(), .command = command});
  }
}

void Run::fail_left_over() const {
  std::string whys;
  std::string commands;
  for (const LeftOver& left : left_over_) {
    whys += (whys.empty() ? "" : "; ") + left.why;
    commands += (commands.empty() ? "" : "; ") + left.command;
  }
  fail(ErrorKind::kConflict, plan_.request.domain, "clear up",
       "the guest has its old disks again, but not all that was made could be removed: " + whys,
       "remove it once nothing is in the way: " + commands);
}

std::string Run::undefining(const std::string& uri) const {
  return "virsh " + (uri.empty() ? "" : "-c " + shell_word(uri) + " ") + "undefine --keep-nvram " +
         shell_word(source_.name());
}

void Run::fail_divided(const std::string& action) const {
  fail(ErrorKind::kConflict, source_.name(), action,
       "it is defined on both hosts, and its disks there and here differ: it ran since",
       "find out where, undefine the other one (" + undefining(plan_.request.from) + ", or " +
           undefining(plan_.request.to) + "), then: " + recovery());
}

void Run::require_not_saved() const {
  if (!source_.guest().was_saved()) {
    return;
  }
  fail(ErrorKind::kConflict, source_.name(), "work on its disks",
       "its memory was saved meanwhile, and belongs to its disks as they are now",
       "start it, or restore it from the file that it was saved to: it goes on with what it did "
       "then. After that: " +
           recovery());
}

void Run::wake() {
  if (source_.active()) {
    return;
  }
  require_not_saved();
  journal_.note(kWoken);
  source_.guest().start(true);
}

void Run::clear_half_started() {
  const bool old = journal_.noted(kStartedOld) || journal_.noted(kWoken);
  for (const auto& [machine, ours] :
       {std::pair(&source_, old), std::pair(&target_, journal_.noted(kStarted))}) {
    if (ours && machine->half_started()) {
      context_.observer->warning("the start of " + source_.name() +
                                 " broke off before it ran: it is forced off, which loses nothing");
      machine->guest().destroy();
    }
  }
}

void Run::put_to_sleep() {
  if (!journal_.noted(kWoken)) {
    return;
  }
  // Who resumed it in between wants it to run, and its memory is worth something.
  if (source_.never_ran()) {
    source_.guest().destroy();
  }
  journal_.forget(kWoken);
}

}  // namespace vmferry::migrate
