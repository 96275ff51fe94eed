// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/sparsify_run.h"

#include <signal.h>

#include <signal.h>

#include "lib/fleet/child_run.h"

namespace vmferry::fleet {
namespace {

/// A volume reads the same at every moment of it: one that ended anywhere is begun again, and there
/// is nothing to undo.
class SparsifyRun : public ChildRun {
 public:
  using ChildRun::ChildRun;

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
  void step() override {
    if (!process_) {
      return begin_if_free();
    }
    const bool has_ended = process_->look();
    read_words();
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
      return fail_as_deadly();
    }
    if (!may_still()) {
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
};

}  // namespace

std::unique_ptr<JobRun> begin_sparsify(const JobOrder& order, const MigrateTerms& terms) {
  return std::make_unique<SparsifyRun>(order, terms);
}

}  // namespace vmferry::fleet
