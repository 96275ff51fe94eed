// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <ctime>
#include <set>
#include <utility>

#include "lib/core/shell_word.h"
#include "lib/fleet/ledger.h"
#include "lib/fleet/slots.h"
#include "vmferry/error.h"

// What changes the state of jobs. Each is one operation: a job is never seen between two states.

namespace vmferry::fleet {
namespace {

bool has_ended(FleetJobState state) {
  return state == FleetJobState::kDone || state == FleetJobState::kFailed ||
         state == FleetJobState::kCancelled;
}

RunningJob running_of(const JobEntry& job, FleetProgress progress) {
  return {.number = job.status.number,
          .slots = job.slots,
          .host = job.status.host,
          .target_host = job.status.target_host,
          .worker = job.status.worker,
          .progress = std::move(progress)};
}

/// Of these jobs, each once.
std::vector<std::string> hosts_of(const std::vector<JobEntry>& jobs) {
  std::set<std::string> hosts;
  for (const JobEntry& job : jobs) {
    hosts.insert(job.status.host);
  }
  return {hosts.begin(), hosts.end()};
}

/// Counts one, which may stop the fleet.
void add_failure(ObjectChange& change, FleetFacts& facts, unsigned stop_after,
                 const std::string& mark) {
  change.expect[kFailuresKey] = facts.texts.at(kFailuresKey);
  change.set[kFailuresKey] = std::to_string(++facts.failures);
  if (stop_after == 0 || facts.failures < stop_after || facts.control.state != "running") {
    return;
  }
  facts.control.state = "stopped";
  facts.control.why = std::to_string(facts.failures) + " jobs failed";
  change.expect[kControlKey] = facts.texts.at(kControlKey);
  change.set[kControlKey] = text_of(facts.control, mark);
}

/// A warm move that failed can still be cut over.
void set_synced(FleetJobStatus& wanted, const JobEnding& ending) {
  if (ending.synced) {
    wanted.synced = true;
    wanted.wave = std::max(wanted.wave, ending.wave);
  } else if (ending.state == FleetJobState::kDone || ending.state == FleetJobState::kCancelled) {
    wanted.synced = false;
  }
}

}  // namespace

void move(ObjectChange& change, Counts& counts, const FleetJobStatus& from,
          const FleetJobStatus& to) {
  const bool was_pending = from.state == FleetJobState::kPending;
  const bool is_pending = to.state == FleetJobState::kPending;
  const std::string pending = pending_key(to.host, to.wave, to.number);
  if (was_pending && !is_pending) {
    change.remove.push_back(pending);
  } else if (is_pending) {
    change.set[pending] = pending_value(to);
  }
  if (!has_ended(from.state) && has_ended(to.state)) {
    counts.take(to.host, to.wave);
  } else if (has_ended(from.state) && !has_ended(to.state)) {
    counts.add(to.host, to.wave);
  } else if (!has_ended(to.state) && from.wave != to.wave) {
    counts.take(from.host, from.wave);
    counts.add(to.host, to.wave);
  }
}

/// Gives `job` to this worker.
ObjectChange Ledger::claim_of(const FleetFacts& facts, JobEntry& job) {
  ObjectChange change;
  change.lease = lease_of(who_);
  change.expect = {{kControlKey, facts.texts.at(kControlKey)},
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
  Counts counts = facts.counts(what_);  // which it does not change
  move(change, counts, job.status, wanted);
  job.text = text_of(wanted, mark(), job.slots);
  job.status = std::move(wanted);
  change.set[numbered(kJobs, job.status.number)] = job.text;
  take_slots(change, running_of(job, {.phase = "begins", .told = std::time(nullptr)}));
  return change;
}

std::optional<JobEntry> Ledger::claim(const FleetFacts& facts, unsigned number,
                                      const JobSlots& slots) {
  JobEntry entry = job(number);
  if (entry.status.state != FleetJobState::kPending) {
    return std::nullopt;
  }
  entry.slots = slots;
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
  entry.text = text_of(entry.status, mark(), entry.slots);
  change.set[job_key] = entry.text;
  change.set[numbered(kRunning, entry.slots.of_fleet)] =
      text_of(running_of(entry, running.progress));
  return apply(change, job_key) == Changed::kDone ? std::optional(entry) : std::nullopt;
}

bool Ledger::put(const JobEntry& job, const FleetProgress& progress) {
  ObjectChange change;
  change.lease = lease_of(who_);
  // One that is late may come after the end of the job: it must change nothing then.
  change.expect[numbered(kJobs, job.status.number)] = job.text;
  change.set[numbered(kRunning, job.slots.of_fleet)] = text_of(running_of(job, progress));
  return object_.change(change) == Changed::kDone;
}

bool Ledger::end(const JobEntry& job, const JobEnding& ending, unsigned stop_after) {
  FleetFacts facts = this->facts({job.status.host});
  const std::string job_key = numbered(kJobs, job.status.number);
  FleetJobStatus wanted = job.status;
  wanted.state = ending.state;
  wanted.error = ending.error;
  wanted.hint = ending.hint;
  if (ending.state != FleetJobState::kPending || wanted.asked != "cancel") {
    wanted.asked.clear();  // else the next worker does it
  }
  wanted.ended = has_ended(ending.state) ? std::time(nullptr) : 0;
  set_synced(wanted, ending);

  ObjectChange change;
  change.lease = lease_of(who_);
  change.expect[job_key] = job.text;
  Counts counts = facts.counts(what_);
  move(change, counts, job.status, wanted);
  const std::string own = mark();
  if (ending.state == FleetJobState::kFailed) {
    add_failure(change, facts, stop_after, own);
  } else if (ending.state == FleetJobState::kPending || ending.state == FleetJobState::kPaused) {
    change.set[kGateKey] = own;  // who cancels the whole fleet has to see it
  } else if (!ending.record.empty()) {
    change.set[numbered(kRecords, job.status.number)] = ending.record;
    add_space(ending.record, wanted);
  }
  counts.write(change);
  change.set[job_key] = text_of(wanted, own);
  give_back_slots(change, job.status, job.slots);
  if (apply(change, job_key) != Changed::kDone) {
    return false;
  }
  if (counts.wave() != facts.count.wave()) {
    wake_others();
  }
  return true;
}

void Ledger::wake_others() {
  try {
    object_.wake_all();
  } catch (const Error&) {
    return;  // they look by themselves, later
  }
}

bool Ledger::change_job(const JobEntry& job, const FleetJobStatus& wanted,
                        const FleetFacts& facts) {
  const std::string own = mark();
  const std::string job_key = numbered(kJobs, job.status.number);
  ObjectChange change;
  change.expect[job_key] = job.text;
  change.set[job_key] = text_of(wanted, own, job.slots);
  if (job.status.state != wanted.state) {
    Counts counts = counts_of({job.status.host});
    change.expect[kGateKey] = facts.texts.at(kGateKey);
    move(change, counts, job.status, wanted);
    counts.write(change);
    change.set[kGateKey] = own;
  } else if (wanted.state == FleetJobState::kPending) {
    change.set[pending_key(wanted.host, wanted.wave, wanted.number)] = pending_value(wanted);
  }
  return apply(change, job_key) == Changed::kDone;
}

bool Ledger::change_jobs(const std::vector<JobEntry>& jobs, FleetJobState wanted,
                         const FleetFacts& facts, const Control& control) {
  const std::string own = mark();
  Counts counts = counts_of(hosts_of(jobs));
  ObjectChange change;
  for (const char* key : {kControlKey, kFailuresKey, kGateKey}) {
    change.expect[key] = facts.texts.at(key);
  }
  for (const JobEntry& job : jobs) {
    FleetJobStatus changed = job.status;
    changed.state = wanted;
    changed.asked.clear();
    changed.error.clear();
    changed.hint.clear();
    changed.deaths = 0;
    changed.ended = 0;
    move(change, counts, job.status, changed);
    const std::string job_key = numbered(kJobs, job.status.number);
    change.expect[job_key] = job.text;
    change.set[job_key] = text_of(changed, own);
  }
  change.set[kControlKey] = text_of(control, own);
  change.set[kFailuresKey] = "0";
  counts.write(change);
  change.set[kGateKey] = own;
  return apply(change, kGateKey) == Changed::kDone;
}

bool Ledger::give_up(const JobEntry& job) {
  const std::string job_key = numbered(kJobs, job.status.number);
  Counts counts = counts_of({job.status.host});
  FleetJobStatus wanted = job.status;
  wanted.state = FleetJobState::kFailed;
  wanted.asked.clear();
  wanted.ended = std::time(nullptr);
  wanted.error = "given up: its worker on " + job.status.host + " is dead";
  wanted.hint = "what was begun is left there; when that host is back: vmferry migrate --recover " +
                shell_word(job.status.guest);
  ObjectChange change;
  change.ended_lease = lease_of(job.status.worker);
  change.expect[job_key] = job.text;
  move(change, counts, job.status, wanted);
  counts.write(change);
  change.set[job_key] = text_of(wanted, mark());
  give_back_slots(change, job.status, job.slots);
  return apply(change, job_key) == Changed::kDone;
}

bool Ledger::change_control(const FleetFacts& facts, const Control& control) {
  ObjectChange change;
  change.expect[kControlKey] = facts.texts.at(kControlKey);
  change.set[kControlKey] = text_of(control, mark());
  return apply(change, kControlKey) == Changed::kDone;
}

}  // namespace vmferry::fleet
