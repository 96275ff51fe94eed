// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/child_run.h"

#include "vmferry/error.h"

namespace vmferry::fleet {

ChildRun::ChildRun(const JobOrder& order, const MigrateTerms& terms)
    : order_(order), terms_(terms), lock_(order.plan.jobs.front().name, terms.state_dir) {
  news_.phase = "waits for an earlier run on this host to end";
}

bool ChildRun::look() {
  if (!result_) {
    try {
      step();
    } catch (const Error& error) {
      fail(error.what(), error.hint());
    }
    if (result_) {
      clean_up();
      lock_.remove();
    }
  }
  return result_.has_value();
}

void ChildRun::read_words() {
  for (const std::string& line : process_->take_lines()) {
    words_.add(line);
  }
  news_ = words_.news().value_or(news_);
}

void ChildRun::finish(JobResult::End end, const std::string& record) {
  result_ = {.end = end, .error = {}, .hint = {}, .record = record};
}

void ChildRun::fail(const std::string& error, const std::string& hint) {
  result_ = {.end = JobResult::End::kFailed, .error = error, .hint = hint, .record = {}};
}

void ChildRun::fail_as_deadly() {
  fail("the worker or the host died each time that this was tried",
       "see what happened on the host, then: vmferry fleet retry");
}

}  // namespace vmferry::fleet
