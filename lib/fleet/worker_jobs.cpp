// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "lib/fleet/slots.h"
#include "lib/fleet/window.h"
#include "lib/fleet/worker.h"
#include "lib/fleet/worker_job.h"
#include "vmferry/error.h"

// Of a worker, what begins jobs and looks after them.

namespace vmferry::fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr unsigned kFirstPause = 128;   // milliseconds at most, after a claim that was lost
constexpr unsigned kHostsOfPause = 10;  // each so many that may want a slot make it longer
constexpr seconds kLongestPause{30};
constexpr unsigned kMostPauses = 5;  // each twice as long: the last up to four seconds
constexpr seconds kTellEvery{1};
constexpr seconds kTellAtLeast{10};
constexpr unsigned kMostDeaths = 5;  // of workers that had the job
constexpr size_t kLookAhead = 64;    // jobs whose target host may be busy
constexpr size_t kAllJobs = 1 << 20;

bool is_new(const JobNews& now, const JobNews& told) {
  return now.phase != told.phase || now.done != told.done || now.total != told.total;
}

/// Throws Error where it is not the plan of one job.
FleetPlan one_job(const std::string& text, const std::string& what) {
  FleetPlan plan = read_plan(text, what);
  if (plan.jobs.size() != 1) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = what,
                 .action = "read the plan of one guest",
                 .cause = "it is a plan of " + std::to_string(plan.jobs.size())});
  }
  return plan;
}

/// The run of a job that could not begin.
class FailedRun : public JobRun {
 public:
  explicit FailedRun(const Error& error) : error_(error.what()), hint_(error.hint()) {}
  bool look() override { return true; }
  JobNews news() const override { return {.phase = "ended"}; }
  JobResult result() const override {
    return {.end = JobResult::End::kFailed, .error = error_, .hint = hint_, .record = {}};
  }
  void allow(uint64_t /*bandwidth*/) override {}
  void ask(std::optional<JobStop> /*stop*/) override {}

 private:
  const std::string error_;
  const std::string hint_;
};

}  // namespace

void Worker::look_after(Mine& mine) {
  const bool has_ended = mine.run->look();
  if (mine.is_lost) {
    mine.is_over = has_ended;
    if (has_ended) {
      say(mine.job.status.guest + ": stopped here");
    }
  } else if (has_ended) {
    end(mine);
  } else if (in_ && terms_.now() >= mine.put_at) {
    tell_progress(mine);
  }
}

void Worker::tell_progress(Mine& mine) {
  const Time now = terms_.now();
  const JobNews news = mine.run->news();
  mine.put_at = now + kTellEvery;
  if (!is_new(news, mine.told) && now < mine.rate_from + kTellAtLeast) {
    return;
  }
  const std::chrono::duration<double> passed = now - mine.rate_from;
  const bool same_phase = news.phase == mine.told.phase && news.done >= mine.told.done;
  const double rate =
      same_phase ? static_cast<double>(news.done - mine.told.done) / passed.count() : 0;
  mine.told = news;
  mine.rate_from = now;
  const FleetProgress progress = {.phase = news.phase,
                                  .done = news.done,
                                  .total = news.total,
                                  .rate = static_cast<uint64_t>(rate),
                                  .told = std::time(nullptr)};
  if (!ledger_->put(mine.job, progress)) {
    look_again(mine);  // somebody asked something of it
    pass_on(mine);
  }
}

/// Reads what is asked of the job, and whether it is still this worker's.
void Worker::look_again(Mine& mine) {
  if (mine.is_lost || mine.is_over) {
    return;
  }
  JobEntry now = ledger_->job(mine.job.status.number);
  if (now.status.state == FleetJobState::kRunning && now.status.worker == ledger_->who()) {
    mine.job = std::move(now);
    return;
  }
  say(mine.job.status.guest + ": another worker has it now");
  mine.is_lost = true;
  mine.run->ask(JobStop::kLeave);
}

/// What is asked of this job, or of the whole fleet.
void Worker::pass_on(Mine& mine) {
  if (mine.is_lost || stopping_ || mine.cancelled) {
    return;
  }
  const std::string& asked = mine.job.status.asked;
  if (asked == "cancel" || control_.state == "cancelled") {
    mine.cancelled = true;
    mine.run->ask(JobStop::kUndo);
  } else if (asked == "pause" || control_.state == "paused") {
    mine.run->ask(JobStop::kKeep);
  } else {
    mine.run->ask(std::nullopt);
  }
}

JobEnding Worker::ending_of(const Mine& mine) const {
  const JobResult result = mine.run->result();
  const FleetJobState later =
      mine.job.status.asked == "pause" ? FleetJobState::kPaused : FleetJobState::kPending;
  switch (result.end) {
    case JobResult::End::kMoved:
      return {.state = FleetJobState::kDone, .error = {}, .hint = {}, .record = result.record};
    case JobResult::End::kSynced:
      return {.state = later,
              .error = {},
              .hint = {},
              .record = {},
              .synced = true,
              .wave = mine.cutover_wave};
    case JobResult::End::kUndone:
      if (mine.cancelled) {
        return {.state = FleetJobState::kCancelled, .error = {}, .hint = {}, .record = {}};
      }
      [[fallthrough]];
    case JobResult::End::kKept:  // it begins anew, or goes on
      return {.state = later, .error = {}, .hint = {}, .record = {}};
    case JobResult::End::kFailed:
      break;
  }
  return {
      .state = FleetJobState::kFailed, .error = result.error, .hint = result.hint, .record = {}};
}

void Worker::end(Mine& mine) {
  if (!in_) {
    return;  // later, or never
  }
  const JobEnding ending = ending_of(mine);
  if (!ledger_->end(mine.job, ending, limits_->stop_after_failures.value_or(0))) {
    look_again(mine);  // it was asked something, or only the counts changed: again at the next tick
    mine.is_over = mine.is_lost;
    return;
  }
  mine.is_over = true;
  look_at_ = {};
  slots_before_ = mine.job.slots;
  say(fmt::format("{}: {}{}", mine.job.status.guest,
                  ending.synced ? "synchronised" : word_of(ending.state),
                  ending.error.empty() ? "" : ": " + ending.error));
}

unsigned Worker::slots() const { return terms_.slots == 0 ? limits_->jobs_per_host : terms_.slots; }

bool Worker::is_full(const std::vector<RunningJob>& running) const {
  const auto here = std::count_if(running.begin(), running.end(), [this](const RunningJob& job) {
    return job.host == terms_.host;
  });
  return running.size() >= limits_->jobs || static_cast<size_t>(here) >= limits_->jobs_per_host ||
         jobs_.size() >= slots();
}

/// When a job may begin: a cutover has hours of its own, if the plan says so.
const std::vector<FleetWindow>& Worker::hours_of(bool cutover) const {
  return cutover && !limits_->cutover_window.empty() ? limits_->cutover_window : limits_->window;
}

/// The next ones of this host. Those that wait for their hours are not there as long as there are
/// others.
std::vector<PendingJob> Worker::pending_of(unsigned wave) {
  if (wave == 0) {
    return {};
  }
  const unsigned minute = terms_.minute();
  const bool moves = is_open(hours_of(false), minute);
  const bool cuts_over = is_open(hours_of(true), minute);
  std::vector<PendingJob> jobs = ledger_->pending(terms_.host, wave, kLookAhead);
  if (moves == cuts_over) {
    return jobs;
  }
  const auto waits = [&](const PendingJob& job) { return job.synced != cuts_over; };
  const auto all_wait = [&] { return std::all_of(jobs.begin(), jobs.end(), waits); };
  if (jobs.size() == kLookAhead && all_wait()) {
    jobs = ledger_->pending(terms_.host, wave, kAllJobs);
  }
  if (!all_wait()) {
    std::erase_if(jobs, waits);
  }
  return jobs;
}

/// Why nothing begins although something could; empty: nothing is in the way.
std::string Worker::reason_to_wait(const FleetFacts& facts, const PendingJob& next) {
  if (facts.control.state == "paused") {
    return "the fleet is paused";
  }
  if (facts.control.state == "stopped") {
    return "the fleet is stopped: " + facts.control.why;
  }
  if (const auto& hours = hours_of(next.synced); !is_open(hours, terms_.minute())) {
    return (next.synced ? "outside of the hours of cutovers (" : "outside of its hours (") +
           text_of(hours) + ")";
  }
  const std::string trouble = limits_->wait_for_health ? terms_.trouble() : "";
  return trouble.empty() ? "" : "the cluster is not healthy: " + trouble;
}

/// Perhaps with a worker that is dead: somebody here has to take it over.
bool Worker::runs_here(const std::vector<RunningJob>& running) const {
  return std::any_of(running.begin(), running.end(),
                     [this](const RunningJob& job) { return job.host == terms_.host; });
}

/// One job at most: what runs has to be counted again for the next.
void Worker::begin_some(const FleetFacts& facts, const std::vector<RunningJob>& running) {
  const std::vector<PendingJob> pending = pending_of(facts.count.wave());
  if (pending.empty()) {
    const bool has_later = !ledger_->pending(terms_.host, 0, 1).empty();
    nothing_left_ = !runs_here(running) && !has_later;
    return set_waiting(has_later ? fmt::format("wave {} has not ended", facts.count.wave()) : "");
  }
  nothing_left_ = false;
  if (is_full(running)) {
    return set_waiting("");
  }
  const std::string why = reason_to_wait(facts, pending.front());
  set_waiting(why);
  if (!why.empty()) {
    return;
  }
  for (const PendingJob& job : pending) {
    if (try_to_begin(facts, job, running)) {
      return;
    }
  }
  set_waiting("as many jobs as may go to " + pending.front().target_host);
}

/// False: its target host has as many as it may. If another worker was faster it is tried again:
/// the more often that happens, the later.
bool Worker::try_to_begin(const FleetFacts& facts, const PendingJob& pending,
                          const std::vector<RunningJob>& running) {
  const auto free = free_slots(running, *limits_, terms_.host, pending.target_host, slots_before_,
                               static_cast<unsigned>(random_()));
  if (!free) {
    return false;
  }
  if (auto job = ledger_->claim(facts, pending.number, *free)) {
    lost_claims_ = 0;
    look_at_ = {};  // there may be room for more
    share_bandwidth(running.size() + 1);
    const bool undo = job->status.asked == "cancel" || control_.state == "cancelled";
    begin(std::move(*job), undo);
    if (jobs_.size() >= slots()) {
      look_at_ = terms_.now() + kLookEvery;
    }
  } else {
    const unsigned most = (1 + hosts_ / kHostsOfPause) * (kFirstPause << lost_claims_);
    look_at_ = terms_.now() + std::min(milliseconds(random_() % most), milliseconds(kLongestPause));
    lost_claims_ = std::min(lost_claims_ + 1, kMostPauses);
  }
  return true;
}

/// Of a cancelled fleet, what is left half done here.
void Worker::undo_some(const FleetFacts& facts, const std::vector<RunningJob>& running) {
  nothing_left_ = !runs_here(running);
  set_waiting("");
  for (const PendingJob& pending : ledger_->pending(terms_.host, 0, kAllJobs)) {
    if (!pending.begun) {
      continue;
    }
    nothing_left_ = false;
    look_at_ = terms_.now() + kTellEvery;
    if (!is_full(running)) {
      try_to_begin(facts, pending, running);
    }
    return;
  }
}

/// Where its order cannot be read now, that is done later: it is a job of this worker that does not
/// run (take_orphans).
void Worker::begin(JobEntry job, bool undo) {
  auto mine = std::make_unique<Mine>();
  mine->job = std::move(job);
  mine->cancelled = undo;
  mine->rate_from = mine->put_at = terms_.now();
  JobOrder order;
  order.bandwidth = share_;
  order.began = mine->job.status.began;
  order.undo_only = undo;
  order.may_begin = mine->job.status.deaths < kMostDeaths;
  order.cut_over = mine->job.status.synced && is_open(hours_of(true), terms_.minute());
  order.is_ours = [this, own = mine.get()] {
    return in_ && !own->is_lost && terms_.now() < trusted_until();
  };
  const std::string text = ledger_->order(mine->job.status.number);
  try {
    order.plan = one_job(text, what_);
    mine->cutover_wave = order.plan.jobs.front().cutover_wave;
    mine->run = runner_.begin(order);
    say(mine->job.status.guest + (undo ? ": what is left half done is undone" : ": begins"));
  } catch (const Error& error) {
    mine->run = std::make_unique<FailedRun>(error);
  }
  jobs_.push_back(std::move(mine));
  pass_on(*jobs_.back());
}

}  // namespace vmferry::fleet
