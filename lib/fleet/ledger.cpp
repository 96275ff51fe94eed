// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/ledger.h"

#include <set>
#include <utility>

#include "vmferry/error.h"

namespace vmferry::fleet {
namespace {

constexpr size_t kPiece = 1000;  // keys in one answer

void require_known_format(const std::map<std::string, std::string>& values,
                          const std::string& what) {
  const auto found = values.find(kFormatKey);
  if (found == values.end()) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = what,
                 .action = "read its state",
                 .cause = "it does not say of which format it is"});
  }
  if (found->second != std::to_string(kStateFormat)) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = what,
                 .action = "read its state",
                 .cause = "it was submitted by a newer vmferry",
                 .hint = "use that version on all hosts"});
  }
}

std::string value_of(const std::map<std::string, std::string>& values, const std::string& key,
                     const std::string& what) {
  const auto found = values.find(key);
  if (found == values.end()) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = what,
                 .action = "read its state",
                 .cause = "'" + key + "' is missing"});
  }
  return found->second;
}

JobEntry entry_of(std::string text, const std::string& what) {
  JobEntry entry;
  entry.status = job_of(text, what);
  if (entry.status.state == FleetJobState::kRunning) {
    entry.slots = slots_of(text, what);
  }
  entry.text = std::move(text);
  return entry;
}

std::string worker_key(const std::string& host, const std::string& id) {
  return kWorkers + host + "/" + id;
}

}  // namespace

std::string lease_of(const std::string& worker) { return "worker." + worker; }

Ledger::Ledger(SharedObject& object, std::string what, std::string who)
    : object_(object), what_(std::move(what)), who_(std::move(who)) {}

FleetFacts Ledger::facts(const std::vector<std::string>& hosts) {
  std::vector<std::string> keys = Counts::keys(hosts);
  keys.insert(keys.end(), {kFormatKey, kControlKey, kGateKey, kFailuresKey});
  FleetFacts facts;
  facts.texts = object_.get(keys);
  require_known_format(facts.texts, what_);
  facts.control = control_of(value_of(facts.texts, kControlKey, what_), what_);
  value_of(facts.texts, kGateKey, what_);
  facts.count = count_of(value_of(facts.texts, kCountKey, what_), what_);
  facts.failures = number_of(value_of(facts.texts, kFailuresKey, what_), what_);
  return facts;
}

Counts Ledger::counts_of(const std::vector<std::string>& hosts) {
  return {object_.get(Counts::keys(hosts)), what_};
}

FleetLimits Ledger::limits() {
  const auto values = object_.get({kFormatKey, kLimitsKey});
  require_known_format(values, what_);
  return read_plan(value_of(values, kLimitsKey, what_), what_).limits;
}

JobEntry Ledger::job(unsigned number) {
  const std::string key = numbered(kJobs, number);
  return entry_of(value_of(object_.get({key}), key, what_), what_);
}

std::string Ledger::order(unsigned number) {
  const std::string key = numbered(kOrders, number);
  return value_of(object_.get({key}), key, what_);
}

std::map<std::string, std::string> Ledger::all(const std::string& prefix) {
  std::map<std::string, std::string> values;
  std::string after;
  for (bool more = true; more;) {
    KeyRange range = object_.list(prefix, after, kPiece);
    more = range.more && !range.keys.empty();
    if (more) {
      after = range.keys.rbegin()->first;
    }
    values.merge(std::move(range.keys));
  }
  return values;
}

std::vector<RunningJob> Ledger::running() {
  std::vector<RunningJob> jobs;
  for (const auto& [key, text] : all(kRunning)) {
    jobs.push_back(running_of(text, what_));
  }
  return jobs;
}

std::vector<JobEntry> Ledger::jobs() {
  std::vector<JobEntry> jobs;
  for (auto& [key, text] : all(kJobs)) {
    jobs.push_back(entry_of(std::move(text), what_));
  }
  return jobs;
}

std::vector<FleetWorkerStatus> Ledger::workers(const std::string& host) {
  std::vector<FleetWorkerStatus> workers;
  std::vector<std::string> leases;
  for (const auto& [key, text] : all(host.empty() ? kWorkers : kWorkers + host + "/")) {
    workers.push_back(worker_of(key, text, what_));
    leases.push_back(lease_of(workers.back().id));
  }
  const std::set<std::string> held = object_.leased(leases);
  for (FleetWorkerStatus& worker : workers) {
    worker.alive = held.contains(lease_of(worker.id));
  }
  return workers;
}

std::vector<PendingJob> Ledger::pending(const std::string& host, unsigned wave, size_t most) {
  std::vector<PendingJob> jobs;
  for (const auto& [key, value] : object_.list(pending_prefix(host, wave), "", most).keys) {
    jobs.push_back({.number = number_of(key, what_),
                    .target_host = value.substr(value.empty() ? 0 : 1),
                    .begun = value.starts_with('!') || value.starts_with('+'),
                    .synced = value.starts_with('+')});
  }
  return jobs;
}

bool Ledger::enter(const FleetWorkerStatus& worker, std::chrono::seconds lease) {
  if (!object_.take_lease(lease_of(who_), lease)) {
    return false;
  }
  host_ = worker.host;
  tell(worker);
  return true;
}

bool Ledger::renew(std::chrono::seconds lease) {
  return object_.renew_lease(lease_of(who_), lease);
}

void Ledger::tell(const FleetWorkerStatus& worker) {
  ObjectChange change;
  change.lease = lease_of(who_);
  change.set[worker_key(worker.host, who_)] = text_of(worker);
  object_.change(change);
}

void Ledger::leave() {
  ObjectChange change;
  change.lease = lease_of(who_);
  change.remove = {worker_key(host_, who_)};
  object_.change(change);
  object_.drop_lease(lease_of(who_));
}

bool Ledger::is_alive(const std::string& worker) {
  return !object_.leased({lease_of(worker)}).empty();
}

void Ledger::forget(const FleetWorkerStatus& worker) {
  ObjectChange change;
  change.ended_lease = lease_of(worker.id);
  change.remove = {worker_key(worker.host, worker.id)};
  object_.change(change);
}

std::string Ledger::mark() { return who_ + "." + std::to_string(++marks_); }

Changed Ledger::apply(const ObjectChange& change, const std::string& shows) {
  const auto is_done = [&] {
    const auto values = object_.get({shows});
    const auto found = values.find(shows);
    return found != values.end() && found->second == change.set.at(shows);
  };
  try {
    const Changed result = object_.change(change);
    // Perhaps it was done before, and the answer was lost.
    return result == Changed::kOtherwise && is_done() ? Changed::kDone : result;
  } catch (const Error&) {
    if (is_done()) {
      return Changed::kDone;
    }
    throw;
  }
}

}  // namespace vmferry::fleet
