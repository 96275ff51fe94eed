// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <ctime>
#include <utility>

#include "lib/fleet/place.h"
#include "vmferry/error.h"

namespace vmferry {
namespace fleet {
namespace {

FleetJobStatus first_state(const FleetJob& job, unsigned number) {
  FleetJobStatus state;
  state.number = number;
  state.guest = job.name;
  state.host = job.host;
  state.target_host = job.target_host;
  state.wave = job.wave;
  state.data = job.data;
  return state;
}

/// The plan with one of its jobs: a worker need not read the others.
std::string only(FleetPlan& frame, const FleetJob& job) {
  frame.jobs = {job};
  frame.jobs.front().remarks.clear();
  return write_plan(frame);
}

void require_host_name(const FleetJob& job) {
  if (job.host.find('/') != std::string::npos) {  // it is a part of keys
    throw Error({.kind = ErrorKind::kUsage,
                 .object = "guest " + job.name,
                 .action = "submit",
                 .cause = "the name of its host has a '/': " + job.host,
                 .hint = "write the name that 'virsh hostname' says there"});
  }
}

}  // namespace

ObjectChange new_fleet(const FleetPlan& plan, const std::string& mark) {
  ObjectChange change;
  Counts counts({}, plan.pool);
  FleetPlan frame = plan;
  frame.head.clear();
  frame.tail.clear();
  unsigned number = 0;
  for (const FleetJob& job : plan.jobs) {
    require_host_name(job);
    const FleetJobStatus state = first_state(job, ++number);
    FleetJobStatus nothing = state;
    nothing.state = FleetJobState::kCancelled;
    move(change, counts, nothing, state);
    change.set[numbered(kJobs, number)] = text_of(state, mark);
    change.set[numbered(kOrders, number)] = only(frame, job);
  }
  change.set[kLimitsKey] = only(frame, plan.jobs.front());
  change.set[kFormatKey] = std::to_string(kStateFormat);
  change.set[kControlKey] = text_of(Control{.why = {}, .submitted = std::time(nullptr)}, mark);
  counts.write(change);
  change.expect.clear();  // there is no fleet yet, or it is replaced
  change.set[kFailuresKey] = "0";
  change.set[kGateKey] = mark;
  change.data = write_plan(plan);
  return change;
}

namespace {

Error exists_already(const std::string& what, bool has_ended) {
  return Error({.kind = ErrorKind::kConflict,
                .object = what,
                .action = "submit",
                .cause = has_ended ? "there is one of that name, which has ended"
                                   : "there is one of that name, which has not ended",
                .hint = has_ended ? "choose another name, or --replace it: its report goes then"
                                  : "choose another name, or cancel that one"});
}

/// Has the change been made, whose answer may be lost?
bool shows(SharedObject& object, const ObjectChange& change) {
  try {
    const auto values = object.get({kGateKey});
    return values.contains(kGateKey) && values.at(kGateKey) == change.set.at(kGateKey);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kNotFound) {
      return false;
    }
    throw;
  }
}

bool made(SharedObject& object, const ObjectChange& change) {
  try {
    return object.change(change) == Changed::kDone || shows(object, change);
  } catch (const Error&) {
    if (shows(object, change)) {
      return true;
    }
    throw;
  }
}

/// Of a cancelled fleet, what its hosts have not undone yet. Nothing begins in it but that.
void require_nothing_half_done(Ledger& ledger) {
  for (const JobEntry& job : ledger.jobs()) {
    const FleetJobState state = job.status.state;
    const bool is_open = state == FleetJobState::kPending || state == FleetJobState::kPaused ||
                         state == FleetJobState::kRunning;
    if (is_open && job.status.attempts > 0) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = ledger.what(),
                   .action = "replace",
                   .cause = fmt::format("guest {} is still to be undone on {}", job.status.guest,
                                        job.status.host),
                   .hint = "a worker there does it: vmferry fleet work"});
    }
  }
}

void replace_ended(OpenFleet& fleet, ObjectChange change, bool replace) {
  Ledger& ledger = fleet.ledger();
  const FleetFacts facts = ledger.facts();
  const bool over = facts.count.left.empty() || facts.control.state == "cancelled";
  if (!over || !ledger.running().empty()) {
    throw exists_already(ledger.what(), false);
  }
  require_nothing_half_done(ledger);
  if (!replace) {
    throw exists_already(ledger.what(), true);
  }
  change.create = false;
  change.clear = true;
  for (const char* key : {kControlKey, kGateKey}) {
    change.expect[key] = facts.texts.at(key);
  }
  if (!made(fleet.object(), change)) {
    throw exists_already(ledger.what(), false);
  }
}

}  // namespace
}  // namespace fleet

void submit_fleet(const FleetPlan& plan, const std::string& name, const CephOptions& ceph,
                  bool replace) {
  const FleetPlace place = {.pool = plan.pool, .name = name, .ceph = ceph};
  fleet::require_name(name);
  if (plan.jobs.empty()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = fleet::display(name, plan.pool),
                 .action = "submit",
                 .cause = "its plan has no guest that moves"});
  }
  fleet::OpenFleet fleet(place);
  ObjectChange change = fleet::new_fleet(plan, fleet.ledger().who());
  change.create = true;
  const bool is_new = fleet::made(fleet.object(), change);
  // Workers that are told no name find it there; also the one of a run that died here.
  fleet::put_on_list(place, fleet.ledger().who());
  if (!is_new) {
    fleet::replace_ended(fleet, std::move(change), replace);
    fleet::put_on_list(place, fleet.ledger().who() + ".replaced");
  }
}

}  // namespace vmferry
