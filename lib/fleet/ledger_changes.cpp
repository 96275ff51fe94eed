// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctime>
#include <utility>

#include "lib/core/shell_word.h"
#include "lib/fleet/ledger.h"
#include "vmferry/error.h"

// What changes the state of jobs. Each is one operation: a job is never seen between two states.

namespace vmferry::fleet {
namespace {

bool has_ended(FleetJobState state) {
  return state == FleetJobState::kDone || state == FleetJobState::kFailed ||
         state == FleetJobState::kCancelled;
}

RunningJob running_of(const FleetJobStatus& job, FleetProgress progress) {
  return {.number = job.number,
          .host = job.host,
          .target_host = job.target_host,
          .worker = job.worker,
          .progress = std::move(progress)};
}

}  // namespace

void move(ObjectChange& change, Count& count, const FleetJobStatus& from,
          const FleetJobStatus& to) {
  const bool was_pending = from.state == FleetJobState::kPending;
  const bool is_pending = to.state == FleetJobState::kPending;
  const std::string pending = pending_key(to.host, to.wave, to.number);
  if (was_pending && !is_pending) {
    change.remove.push_back(pending);
  } else if (!was_pending && is_pending) {
    change.set[pending] = (to.attempts > 0 ? "!" : ">") + to.target_host;
  }
  if (!has_ended(from.state) && has_ended(to.state)) {
    const auto wave = count.left.find(to.wave);
    if (wave != count.left.end() && --wave->second == 0) {
      count.left.erase(wave);
    }
  } else if (has_ended(from.state) && !has_ended(to.state)) {
    ++count.left[to.wave];
  }
}

/// Gives `job` to this worker.
ObjectChange Ledger::claim_of(const FleetFacts& facts, JobEntry& job) {
  ObjectChange change;
  Count count = facts.count;
  change.lease = lease_of(who_);
  change.expect = {{kControlKey, facts.control_text},
                   {kGateKey, facts.gate},
                   {numbered(kJobs, job.status.number), job.text}};
  FleetJobStatus wanted = job.status;
  wanted.state = FleetJobState::kRunning;
  wanted.worker = who_;
  wanted.attempts += 1;
  wanted.error.clear();
  wanted.hint.clear();
  wanted.ended = 0;
  if (wanted.began == 0) {
    wanted.began = std::time(nullptr);
  }
  const std::string own = mark();
  move(change, count, job.status, wanted);
  job.text = text_of(wanted, own);
  job.status = std::move(wanted);
  change.set[kGateKey] = own;
  change.set[numbered(kJobs, job.status.number)] = job.text;
  change.set[numbered(kRunning, job.status.number)] =
      text_of(running_of(job.status, {.phase = "begins", .told = std::time(nullptr)}));
  return change;
}

std::optional<JobEntry> Ledger::claim(const FleetFacts& facts, unsigned number) {
  JobEntry entry = job(number);
  if (entry.status.state != FleetJobState::kPending) {
    return std::nullopt;
  }
  const ObjectChange change = claim_of(facts, entry);
  const Changed done = apply(change, numbered(kJobs, number));
  return done == Changed::kDone ? std::optional(entry) : std::nullopt;
}

std::optional<JobEntry> Ledger::take_over(const RunningJob& running) {
  JobEntry entry = job(running.number);
  if (entry.status.state != FleetJobState::kRunning || entry.status.worker != running.worker) {
    return std::nullopt;
  }
  const std::string job_key = numbered(kJobs, running.number);
  ObjectChange change;
  change.lease = lease_of(who_);
  change.expect[job_key] = entry.text;
  if (running.worker != who_) {
    change.ended_lease = lease_of(running.worker);
    entry.status.attempts += 1;
    entry.status.deaths += 1;
  }
  entry.status.worker = who_;
  entry.text = text_of(entry.status, mark());
  change.set[job_key] = entry.text;
  change.set[numbered(kRunning, running.number)] =
      text_of(running_of(entry.status, running.progress));
  return apply(change, job_key) == Changed::kDone ? std::optional(entry) : std::nullopt;
}

bool Ledger::put(const JobEntry& job, const FleetProgress& progress) {
  ObjectChange change;
  change.lease = lease_of(who_);
  // One that is late may come after the end of the job: it must change nothing then.
  change.expect[numbered(kJobs, job.status.number)] = job.text;
  change.set[numbered(kRunning, job.status.number)] = text_of(running_of(job.status, progress));
  return object_.change(change) == Changed::kDone;
}

bool Ledger::end(const JobEntry& job, const JobEnding& ending, unsigned stop_after) {
  FleetFacts facts = this->facts();
  const std::string job_key = numbered(kJobs, job.status.number);
  FleetJobStatus wanted = job.status;
  wanted.state = ending.state;
  wanted.error = ending.error;
  wanted.hint = ending.hint;
  if (ending.state != FleetJobState::kPending || wanted.asked != "cancel") {
    wanted.asked.clear();  // else the next worker does it
  }
  wanted.ended = has_ended(ending.state) ? std::time(nullptr) : 0;

  ObjectChange change;
  change.lease = lease_of(who_);
  change.expect = {{job_key, job.text}, {kCountKey, facts.count_text}};
  move(change, facts.count, job.status, wanted);
  const std::string own = mark();
  if (ending.state == FleetJobState::kFailed) {
    facts.count.failures += 1;
    if (stop_after != 0 && facts.count.failures >= stop_after && facts.control.state == "running") {
      facts.control.state = "stopped";
      facts.control.why = std::to_string(facts.count.failures) + " jobs failed";
      change.expect[kControlKey] = facts.control_text;
      change.set[kControlKey] = text_of(facts.control, own);
    }
  } else if (ending.state == FleetJobState::kPending || ending.state == FleetJobState::kPaused) {
    change.set[kGateKey] = own;  // who cancels the whole fleet has to see it
  } else if (!ending.record.empty()) {
    change.set[numbered(kRecords, job.status.number)] = ending.record;
    add_space(ending.record, wanted);
  }
  change.set[kCountKey] = text_of(facts.count);
  change.set[job_key] = text_of(wanted, own);
  change.remove.push_back(numbered(kRunning, job.status.number));
  return apply(change, job_key) == Changed::kDone;
}

bool Ledger::change_job(const JobEntry& job, const FleetJobStatus& wanted,
                        const FleetFacts& facts) {
  const std::string own = mark();
  const std::string job_key = numbered(kJobs, job.status.number);
  ObjectChange change;
  change.expect[job_key] = job.text;
  change.set[job_key] = text_of(wanted, own);
  if (job.status.state != wanted.state) {
    Count count = facts.count;
    change.expect[kCountKey] = facts.count_text;
    change.expect[kGateKey] = facts.gate;
    move(change, count, job.status, wanted);
    change.set[kCountKey] = text_of(count);
    change.set[kGateKey] = own;
  }
  return apply(change, job_key) == Changed::kDone;
}

bool Ledger::change_jobs(const std::vector<JobEntry>& jobs, FleetJobState wanted,
                         const FleetFacts& facts, const Control& control) {
  const std::string own = mark();
  Count count = facts.count;
  count.failures = 0;
  ObjectChange change;
  change.expect = {
      {kControlKey, facts.control_text}, {kCountKey, facts.count_text}, {kGateKey, facts.gate}};
  for (const JobEntry& job : jobs) {
    FleetJobStatus changed = job.status;
    changed.state = wanted;
    changed.asked.clear();
    changed.error.clear();
    changed.hint.clear();
    changed.deaths = 0;
    changed.ended = 0;
    move(change, count, job.status, changed);
    const std::string job_key = numbered(kJobs, job.status.number);
    change.expect[job_key] = job.text;
    change.set[job_key] = text_of(changed, own);
  }
  change.set[kControlKey] = text_of(control, own);
  change.set[kCountKey] = text_of(count);
  change.set[kGateKey] = own;
  return apply(change, kGateKey) == Changed::kDone;
}

bool Ledger::give_up(const JobEntry& job, const FleetFacts& facts) {
  const std::string own = mark();
  const std::string job_key = numbered(kJobs, job.status.number);
  Count count = facts.count;
  FleetJobStatus wanted = job.status;
  wanted.state = FleetJobState::kFailed;
  wanted.asked.clear();
  wanted.ended = std::time(nullptr);
  wanted.error = "given up: its worker on " + job.status.host + " is dead";
  wanted.hint = "what was begun is left there; when that host is back: vmferry migrate --recover " +
                shell_word(job.status.guest);
  ObjectChange change;
  change.ended_lease = lease_of(job.status.worker);
  change.expect = {{job_key, job.text}, {kCountKey, facts.count_text}};
  move(change, count, job.status, wanted);
  change.set[kCountKey] = text_of(count);
  change.set[job_key] = text_of(wanted, own);
  change.remove.push_back(numbered(kRunning, job.status.number));
  return apply(change, job_key) == Changed::kDone;
}

bool Ledger::change_control(const FleetFacts& facts, const Control& control) {
  ObjectChange change;
  change.expect[kControlKey] = facts.control_text;
  change.set[kControlKey] = text_of(control, mark());
  return apply(change, kControlKey) == Changed::kDone;
}

}  // namespace vmferry::fleet
