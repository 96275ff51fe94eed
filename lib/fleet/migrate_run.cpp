// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/migrate_run.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "lib/fleet/child_run.h"
#include "lib/fleet/sparsify_run.h"
#include "lib/fleet/warm_moves.h"
#include "lib/migrate/journal.h"
#include "vmferry/error.h"
#include "vmferry/migrate.h"
#include "vmferry/sync.h"

namespace vmferry::fleet {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

/// A copy writes a checkpoint about every ten seconds: after so long there is one.
constexpr std::chrono::seconds kToCheckpoint{15};

bool has_journal(const FleetJob& job, const std::string& state_dir) {
  try {
    recorded_request(job.name, state_dir);
    return true;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kNotFound) {
      return false;
    }
    throw;
  }
}

class MigrateRun : public ChildRun {
 public:
  MigrateRun(const JobOrder& order, const MigrateTerms& terms)
      : ChildRun(order, terms), bandwidth_(order.bandwidth) {}

  void allow(uint64_t bandwidth) override {
    if (bandwidth == bandwidth_ || order_.bandwidth == 0) {
      return;
    }
    const uint64_t before = std::exchange(bandwidth_, bandwidth);
    try {
      if (process_) {
        write_rate();
      }
    } catch (const Error&) {
      bandwidth_ = before;  // it is asked again
    }
  }

  void ask(std::optional<JobStop> stop) override {
    if (stop == stop_) {
      return;
    }
    stop_ = stop;
    if (process_ && (stop == JobStop::kLeave || stop == JobStop::kUndo)) {
      interrupt();
    }
  }

 private:
  void step() override {
    if (!process_) {
      return begin_if_free();
    }
    const bool has_ended = process_->look();
    read();
    if (has_ended) {
      process_ended();
    } else if (stop_ == JobStop::kKeep) {
      stop_at_checkpoint();
    }
  }

  void begin_if_free() {
    if (stop_ == JobStop::kLeave) {
      // What an earlier run left half done, the next worker ends.
      const bool left = tried_again_ || is_left();
      return finish(left ? JobResult::End::kKept : JobResult::End::kUndone);
    }
    if (lock_.take()) {
      begin();
      lock_.release();
    }
  }

  /// Decides by what earlier runs left on this host.
  void begin() {
    if (has_journal(job(), terms_.state_dir)) {
      require_ours();
      const bool undo = has_to_undo();
      const bool finish = !undo && job().on_death == Recovery::kFinish;
      return recover(tried_again_ ? "" : undo ? "--undo" : finish ? "--finish" : "");
    }
    if (const std::string record = record_since(job(), terms_.state_dir, order_.began);
        !record.empty()) {
      return finish(JobResult::End::kMoved, record);
    }
    if (job().warm && in_warm_move(order_.plan, terms_.state_dir)) {
      return go_on_warm();
    }
    if (order_.undo_only || stop_) {
      return finish(stop_ == JobStop::kKeep ? JobResult::End::kKept : JobResult::End::kUndone);
    }
    migrate();
  }

  /// It is synchronised.
  void go_on_warm() {
    if (is_to_be_undone()) {
      return start(give_up_arguments(order_, terms_), "gives the warm move up");
    }
    if (!order_.cut_over) {
      return finish(JobResult::End::kSynced);
    }
    if (stop_) {
      return finish(JobResult::End::kKept);
    }
    if (!order_.may_begin) {
      return fail_as_deadly();
    }
    start(cutover_arguments(order_, terms_), "begins the cutover");
  }

  bool is_to_be_undone() const { return order_.undo_only || stop_ == JobStop::kUndo; }
  bool has_to_undo() const { return is_to_be_undone() || job().on_death == Recovery::kUndo; }

  /// Something of it is on this host, which only a worker here can end.
  bool is_left() const {
    return has_journal(job(), terms_.state_dir) ||
           (job().warm && in_warm_move(order_.plan, terms_.state_dir));
  }

  /// What a person has left half done is that person's.
  void require_ours() const {
    const MigrateRequest theirs = recorded_request(job().name, terms_.state_dir);
    const MigrateRequest ours = migrate_request(order_.plan, job());
    const RunKind kind = recorded_kind(job().name, terms_.state_dir);
    const bool is_warm = kind != RunKind::kMove;
    const bool stays = kind == RunKind::kSync || kind == RunKind::kStop;
    if (is_warm != job().warm || theirs.disks != ours.disks ||
        theirs.to != (stays ? "" : ours.to) || theirs.to_files()) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = "guest " + job().name,
                   .action = "begin its move",
                   .cause = "another move of it was left half done on this host",
                   .hint = "end that one: " +
                           migrate::recover_command(kind, job().name, terms_.state_dir)});
    }
  }

  void recover(const std::string& how) {
    const Plan left = migrate::Journal::read_plan(job().name, terms_.state_dir);
    recovers_off_ = left.was_running && !is_live(left.method);  // it shuts the guest down
    start(recover_arguments(order_, terms_, how), "recovers what an earlier run left");
    asked_to_undo_ = how == "--undo";
  }

  void migrate() {
    if (!order_.may_begin) {
      return fail_as_deadly();
    }
    recovers_off_ = false;
    start(job().warm ? sync_arguments(order_, terms_) : migrate_arguments(order_, terms_),
          "begins");
  }

  void start(const std::vector<std::string>& arguments, const char* phase) {
    if (!may_still()) {
      return finish(JobResult::End::kKept);
    }
    write_rate();
    words_ = JobWords();
    signalled_ = false;
    asked_to_undo_ = false;
    news_ = {.phase = phase, .done = 0, .total = 0};
    copying_since_.reset();
    has_started_ = true;
    process_.emplace(terms_.program, arguments, lock_.fd());
  }

  /// The child reads it again and again.
  void write_rate() const {
    if (order_.bandwidth != 0) {
      migrate::replace_file(rate_file(job(), terms_), std::to_string(bandwidth_) + "\n");
    }
  }

  void read() {
    const std::string before = news_.phase;
    read_words();
    if (news_.phase != before) {
      copying_since_ = news_.phase == "copy" ? std::optional(Clock::now()) : std::nullopt;
    }
  }

  /// A guest that runs writes into an overlay until its move is done: that goes on to the end.
  /// So does one that was shut down for it, which would stay off.
  void stop_at_checkpoint() {
    if (job().way == MigrateMode::kLive || words_.has_shut_down() || recovers_off_) {
      return;
    }
    if (!words_.has_begun()) {
      interrupt();
    } else if (copying_since_ && Clock::now() - *copying_since_ >= kToCheckpoint) {
      signalled_ = true;
      process_->signal(SIGKILL);
    }
  }

  /// A second signal would stop it in the middle of undoing.
  void interrupt() {
    if (!std::exchange(signalled_, true)) {
      process_->signal(SIGTERM);
    }
  }

  void process_ended() {
    const int status = process_->status();
    const json report = json::parse(process_->output(), nullptr, false);
    const std::string end = report.is_object() ? report.value("end", "") : "";
    std::string output = process_->output();
    process_.reset();
    if (status == 0 && end == "moved") {
      return finish(JobResult::End::kMoved, output);
    }
    if (status == 0 && job().warm && (end == "synced" || end == "undone" || end == "stopped")) {
      return;  // what is there now says how it goes on
    }
    if (status == 0 && end == "undone" && !order_.undo_only && !stop_) {
      return;  // and now from the beginning
    }
    if (status == 0 && end == "undone") {
      const bool later = stop_ == JobStop::kKeep && !order_.undo_only;
      return finish(later ? JobResult::End::kKept : JobResult::End::kUndone);
    }
    if (signalled_) {
      return stopped();
    }
    if (asked_to_undo_ && !std::exchange(tried_again_, true)) {
      return;  // in the way that is possible
    }
    fail(status == 0 ? "it reports neither that the guest moved nor that it is as before"
                     : words_.error(status),
         words_.hint());
  }

  /// It was asked to end, and did not end well; it may have left something.
  void stopped() {
    const bool has_unfinished = has_journal(job(), terms_.state_dir);
    if (stop_ == JobStop::kUndo && job().warm && !has_unfinished) {
      return;  // its warm move is given up, if there is one
    }
    const bool left = has_unfinished || is_left();
    if (stop_ == JobStop::kUndo && left && !tried_again_) {
      tried_again_ = true;  // in the way that is possible
      return;
    }
    if (stop_ == JobStop::kUndo && left) {
      return fail(words_.error(1), words_.hint());
    }
    const bool later = left || stop_ == JobStop::kKeep || !stop_;
    finish(later ? JobResult::End::kKept : JobResult::End::kUndone);
  }

  /// Another run of this guest, for which this one only waited, may still read it.
  void clean_up() override {
    if (order_.bandwidth != 0 && has_started_) {
      ::unlink(rate_file(job(), terms_).c_str());
    }
  }

  uint64_t bandwidth_;
  std::optional<Clock::time_point> copying_since_;
  bool tried_again_ = false;
  bool signalled_ = false;      ///< what runs now
  bool asked_to_undo_ = false;  ///< likewise
  bool recovers_off_ = false;   ///< the move that was begun before has shut the guest down
  bool has_started_ = false;
};

}  // namespace

std::unique_ptr<JobRun> MigrateRunner::begin(const JobOrder& order) {
  if (order.plan.jobs.front().task == FleetTask::kSparsify) {
    return begin_sparsify(order, terms_);
  }
  return std::make_unique<MigrateRun>(order, terms_);
}

}  // namespace vmferry::fleet
