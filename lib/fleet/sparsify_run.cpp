// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/sparsify_run.h"

#include <signal.h>

#include <optional>

#include "lib/fleet/job_lock.h"
#include "lib/fleet/job_process.h"
#include "lib/fleet/job_words.h"
#include "vmferry/error.h"

namespace vmferry::fleet {
namespace {

/// A volume reads the same at every moment of it: one that ended anywhere is begun again, and there
/// is nothing to undo.
class SparsifyRun : public JobRun {
 public:
  SparsifyRun(const JobOrder& order, const MigrateTerms& terms)
      : order_(order), terms_(terms), lock_(order.plan.jobs.front().name, terms.state_dir) {
    news_.phase = "waits for an earlier run on this host to end";
  }

  bool look() override {
    if (!result_) {
      try {
        step();
      } catch (const Error& error) {
        fail(error.what(), error.hint());
      }
      if (result_) {
        lock_.remove();
      }
    }
    return result_.has_value();
  }
  JobNews news() const override { return news_; }
  JobResult result() const override { return *result_; }
  void allow(uint64_t /*bandwidth*/) override {}  // the OSDs do it, among themselves
  void ask(std::optional<JobStop> stop) override {
    if (stop == stop_) {
      return;
    }
    stop_ = stop;
    if (process_ && stop) {
      process_->signal(SIGTERM);
    }
  }

 private:
  void step() {
    if (!process_) {
      return begin_if_free();
    }
    const bool has_ended = process_->look();
    for (const std::string& line : process_->take_lines()) {
      words_.add(line);
    }
    news_ = words_.news().value_or(news_);
    if (has_ended) {
      ended();
    }
  }

  void begin_if_free() {
    if (stop_ || order_.undo_only) {
      return finish(stopped());
    }
    if (!lock_.take()) {
      return;
    }
    if (!order_.may_begin) {
      return fail("the worker or the host died each time that this was tried",
                  "see what happened on the host, then: vmferry fleet retry");
    }
    if (order_.is_ours && !order_.is_ours()) {
      return finish(JobResult::End::kKept);
    }
    news_ = {.phase = "begins", .done = 0, .total = 0};
    process_.emplace(terms_.program, sparsify_arguments(order_, terms_), lock_.fd());
    lock_.release();
  }

  void ended() {
    if (process_->status() == 0) {
      return finish(JobResult::End::kMoved, process_->output());
    }
    if (stop_) {
      return finish(stopped());
    }
    fail(words_.error(process_->status()), words_.hint());
  }

  JobResult::End stopped() const {
    return stop_ == JobStop::kKeep ? JobResult::End::kKept : JobResult::End::kUndone;
  }
  void finish(JobResult::End end, const std::string& record = {}) {
    result_ = {.end = end, .error = {}, .hint = {}, .record = record};
  }
  void fail(const std::string& error, const std::string& hint) {
    result_ = {.end = JobResult::End::kFailed, .error = error, .hint = hint, .record = {}};
  }

  const JobOrder order_;
  const MigrateTerms terms_;
  JobLock lock_;
  std::optional<JobProcess> process_;
  JobWords words_;
  JobNews news_;
  std::optional<JobStop> stop_;
  std::optional<JobResult> result_;
};

}  // namespace

std::unique_ptr<JobRun> begin_sparsify(const JobOrder& order, const MigrateTerms& terms) {
  return std::make_unique<SparsifyRun>(order, terms);
}

}  // namespace vmferry::fleet
