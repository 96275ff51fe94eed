// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <utility>

#include "lib/core/counted.h"
#include "lib/fleet/worker_job.h"
#include "vmferry/error.h"

namespace vmferry::fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Who waits looks the more rarely the more hosts there are: all of them together look so often.
constexpr milliseconds kLooksApart{200};
constexpr milliseconds kWakesApart{5};
constexpr seconds kLongestRest{60};
constexpr seconds kEnterEvery{5};   // after a failure
constexpr seconds kClearEvery{60};  // dead workers of this host
constexpr int kRenewals = 4;        // in one duration of a lease

}  // namespace

Worker::Worker(SharedObject& object, std::string what, WorkerTerms terms, JobRunner& runner)
    : object_(object),
      what_(std::move(what)),
      terms_(std::move(terms)),
      runner_(runner),
      random_(static_cast<unsigned>(std::hash<std::string>()(terms_.new_name()))) {}

Worker::~Worker() = default;

void Worker::say(const std::string& text) const {
  if (terms_.say) {
    terms_.say(text);
  }
}

FleetWorkerStatus Worker::own_status() const {
  return {.id = ledger_->who(), .host = terms_.host, .since = since_, .waiting = waiting_};
}

/// A run that nobody answers for any more ends before another worker may believe so: the rest of
/// the duration is for an operation that hangs, and for clocks that are not alike.
std::chrono::steady_clock::time_point Worker::trusted_until() const {
  return leased_ + terms_.lease * 2 / 3;
}

bool Worker::is_eager() const {
  return in_ && (terms_.now() >= look_at_ ||
                 std::any_of(jobs_.begin(), jobs_.end(),
                             [](const auto& mine) { return mine->run->look(); }));
}

void Worker::tick() {
  try {
    // What runs is looked after whether the store answers or not.
    bool leased = keep_lease();
    for (const auto& mine : jobs_) {
      leased = leased && keep_lease();  // each may wait for the store
      look_after(*mine);
    }
    std::erase_if(jobs_, [](const auto& mine) { return mine->is_over; });
    if (leased && !stopping_ && terms_.now() >= look_at_) {
      look_at_ = terms_.now() + kLookEvery;
      look_around();
      if (!jobs_.empty()) {
        look_at_ = std::min(look_at_, terms_.now() + kLookEvery);
      }
    }
    if (leased && stopping_ && jobs_.empty()) {
      clear_dead();
      in_ = false;
      ledger_->leave();
    }
    if (leased) {
      store_trouble_.clear();
    }
  } catch (const Error& error) {
    const bool hopeless =
        error.kind() == ErrorKind::kNotFound || error.kind() == ErrorKind::kUnsupported;
    if (hopeless && jobs_.empty()) {
      throw;
    }
    if (std::exchange(store_trouble_, error.what()) != error.what()) {
      say(fmt::format("{}; trying again", error.what()));
    }
    if (hopeless) {
      lose("the fleet is gone");
    }
  }
}

/// True: everything that is written now is written under a lease.
bool Worker::keep_lease() {
  const Time now = terms_.now();
  if (!in_) {
    // What runs here for nobody keeps others off its guest: it hangs, perhaps for ever.
    const bool free =
        std::all_of(jobs_.begin(), jobs_.end(), [](const auto& mine) { return mine->is_lost; });
    if (free && !stopping_ && now >= enter_at_) {
      enter();
    }
    return in_;
  }
  if (now >= trusted_until()) {
    lose("the lease of this worker was not renewed in time");
    return false;
  }
  if (now >= renew_at_) {
    renew_at_ = now + seconds(1);
    if (!ledger_->renew(terms_.lease)) {
      lose("another may have the lease of this worker by now");
      return false;
    }
    leased_ = now;
    renew_at_ = now + terms_.lease / kRenewals;
  }
  return true;
}

void Worker::enter() {
  const Time now = terms_.now();
  enter_at_ = now + kEnterEvery;
  ledger_.emplace(object_, what_, terms_.new_name());
  read_limits(ledger_->facts());
  since_ = std::time(nullptr);
  waiting_.clear();
  if (!ledger_->enter(own_status(), terms_.lease)) {
    return;
  }
  in_ = true;
  leased_ = now;
  renew_at_ = now + terms_.lease / kRenewals;
  look_at_ = {};
  clear_at_ = {};
}

void Worker::read_limits(const FleetFacts& facts) {
  limits_ = ledger_->limits();
  submitted_ = facts.control.submitted;
}

/// Whatever runs here may be another's by now: nothing more is done to a guest, and nothing more
/// is written.
void Worker::lose(const std::string& why) {
  in_ = false;
  if (!jobs_.empty()) {
    say(fmt::format("{}: {}; stopped here: {}", what_, why, counted(jobs_.size(), "job")));
  }
  for (const auto& mine : jobs_) {
    mine->is_lost = true;
    mine->run->ask(JobStop::kLeave);
  }
}

void Worker::stop() {
  stopping_ = true;
  for (const auto& mine : jobs_) {
    mine->run->ask(JobStop::kLeave);
  }
}

void Worker::wake() {
  const auto spread = static_cast<unsigned>(kWakesApart.count()) * hosts_;
  const bool at_once = !jobs_.empty() || spread == 0;
  look_at_ = std::min(look_at_, at_once ? Time() : terms_.now() + milliseconds(random_() % spread));
}

/// Until the next look, if nothing happens before.
milliseconds Worker::rest(const FleetFacts& facts) {
  hosts_ = facts.count.left.empty() ? 0 : facts.count.left.begin()->second;
  const milliseconds most = jobs_.empty() ? kLongestRest : kLookEvery;
  const milliseconds time = std::clamp<milliseconds>(kLooksApart * hosts_, kLookEvery, most);
  return time - milliseconds(random_() % (static_cast<unsigned>(time.count()) / 4));
}

void Worker::look_around() {
  const FleetFacts facts = ledger_->facts();
  control_ = facts.control;
  if (facts.control.submitted != submitted_) {  // another plan has replaced that one
    read_limits(facts);
    ledger_->tell(own_status());
  }
  for (const auto& mine : jobs_) {
    look_again(*mine);
    pass_on(*mine);
  }
  if (terms_.now() >= clear_at_) {
    clear_dead();
    clear_at_ = terms_.now() + kClearEvery;
  }
  if (!keep_lease()) {
    return;
  }
  const std::vector<RunningJob> running = ledger_->running();
  share_bandwidth(running.size());
  take_orphans(running);
  look_at_ = terms_.now() + rest(facts);
  if (facts.control.state == "cancelled") {
    undo_some(facts, running);
  } else {
    begin_some(facts, running);
  }
}

/// A job here whose worker is dead, as far as there are slots; or that this one took without an
/// answer.
void Worker::take_orphans(const std::vector<RunningJob>& running) {
  for (const RunningJob& job : running) {
    const bool is_ours = std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& mine) {
      return mine->job.status.number == job.number;
    });
    const bool is_full = jobs_.size() >= slots() && job.worker != ledger_->who();
    if (job.host != terms_.host || is_ours || is_full) {
      continue;
    }
    if (auto taken = ledger_->take_over(job)) {
      say(fmt::format("{}: taken over from a worker that is dead", taken->status.guest));
      const bool undo = taken->status.asked == "cancel" || control_.state == "cancelled";
      begin(std::move(*taken), undo);
    }
  }
}

/// Who runs fewer than before gets more, and the other way round. Each worker finds that out when
/// it looks next: until then the sum may be above the limit.
void Worker::share_bandwidth(size_t running) {
  if (limits_->bandwidth == 0) {
    return;
  }
  share_ = std::max<uint64_t>(1, limits_->bandwidth / std::max<size_t>(1, running));
  for (const auto& mine : jobs_) {
    mine->run->allow(share_);
  }
}

void Worker::clear_dead() {
  const std::vector<RunningJob> running = ledger_->running();
  for (const FleetWorkerStatus& worker : ledger_->workers(terms_.host)) {
    const bool has_jobs = std::any_of(running.begin(), running.end(), [&](const RunningJob& job) {
      return job.worker == worker.id;
    });
    if (!worker.alive && !has_jobs) {
      ledger_->forget(worker);
    }
  }
}

void Worker::set_waiting(const std::string& why) {
  if (why == waiting_) {
    return;
  }
  waiting_ = why;
  if (!why.empty()) {
    say(what_ + ": waiting: " + why);
  }
  ledger_->tell(own_status());
}

}  // namespace vmferry::fleet
