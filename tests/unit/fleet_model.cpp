// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fleet_model.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "vmferry/error.h"

namespace vmferry::test {

using Work = FleetModel::Work;

/// A process that moves a guest.
struct ModelChild {
  ModelChild(FleetModel& where, std::string name, std::string who, Work what)
      : model(where),
        guest(std::move(name)),
        worker(std::move(who)),
        recovery(where.guests[guest].journal),
        work_of(recovery ? where.guests[guest].journal_of : what) {
    FleetModel::Guest& it = model.guests[guest];
    if (!it.busy.empty()) {
      model.wrong.push_back(guest + " is worked on by " + it.busy + " and " + worker);
    }
    if (it.moved) {
      model.wrong.push_back(guest + " is moved already, and begun again by " + worker);
    }
    it.busy = worker;
    it.journal = true;
    it.journal_of = work_of;
    left = std::chrono::milliseconds(500 + model.random() % 20000);
  }
  ModelChild(const ModelChild&) = delete;
  ModelChild& operator=(const ModelChild&) = delete;
  /// Killed, unless it has ended.
  ~ModelChild() {
    if (!ended) {
      model.guests[guest].busy.clear();
    }
  }

  void work(std::chrono::milliseconds time) {
    if (ended) {
      return;
    }
    left -= time;
    if (left.count() > 0) {
      return;
    }
    FleetModel::Guest& it = model.guests[guest];
    ended = true;
    it.busy.clear();
    it.journal = false;
    undone = told_to_end || (recovery && model.chance(500));
    failed = !undone && !recovery && model.chance(model.fail_of_thousand);
    if (undone || failed) {
      return;
    }
    it.synced = work_of == Work::kSync;
    if (work_of == Work::kMove || work_of == Work::kCutOver) {
      it.moved = true;
      it.moves += 1;
    }
  }
  void tell_to_end() {
    told_to_end = true;
    left = std::min(left, std::chrono::milliseconds(model.random() % 3000));
  }

  FleetModel& model;
  const std::string guest;
  const std::string worker;
  const bool recovery;  ///< it ends what it finds
  const Work work_of;
  std::chrono::milliseconds left{};
  bool told_to_end = false;
  bool ended = false;
  bool undone = false;
  bool failed = false;
};

namespace {

class ModelRun : public fleet::JobRun {
 public:
  ModelRun(FleetModel& model, std::string worker, const fleet::JobOrder& order)
      : model_(model),
        worker_(std::move(worker)),
        order_(order),
        guest_(order.plan.jobs.front().name),
        allowed_(order.bandwidth) {}

  bool look() override {
    if (!result_ && !child_) {
      begin();
    } else if (!result_ && child_->ended) {
      child_ended();
    }
    return result_.has_value();
  }
  fleet::JobNews news() const override {
    return {.phase = child_ ? "copy" : "waits", .done = 0, .total = 0};
  }
  fleet::JobResult result() const override { return *result_; }
  void allow(uint64_t bandwidth) override {
    allowed_ = bandwidth;
    if (child_) {
      model_.guests[guest_].bandwidth = allowed_;
    }
  }
  void ask(std::optional<fleet::JobStop> stop) override {
    stop_ = stop;
    if (child_ && (stop == fleet::JobStop::kLeave || stop == fleet::JobStop::kUndo)) {
      child_->tell_to_end();
    }
  }

 private:
  void finish(fleet::JobResult::End end) {
    result_ = {.end = end, .error = "failed", .hint = {}, .record = "{}"};
  }
  void begin() {
    const FleetModel::Guest& it = model_.guests[guest_];
    if (stop_ == fleet::JobStop::kLeave) {
      return finish(it.journal || it.synced ? fleet::JobResult::End::kKept
                                            : fleet::JobResult::End::kUndone);
    }
    if (!it.busy.empty()) {
      return;
    }
    if (it.moved) {
      return finish(fleet::JobResult::End::kMoved);
    }
    if (!it.journal && it.synced) {
      return go_on_warm();
    }
    if (!it.journal && (order_.undo_only || stop_)) {
      return finish(stop_ == fleet::JobStop::kKeep ? fleet::JobResult::End::kKept
                                                   : fleet::JobResult::End::kUndone);
    }
    start(order_.plan.jobs.front().warm ? Work::kSync : Work::kMove);
  }
  void go_on_warm() {
    if (order_.undo_only || stop_ == fleet::JobStop::kUndo) {
      start(Work::kGiveUp);
    } else if (!order_.cut_over) {
      finish(fleet::JobResult::End::kSynced);
    } else if (stop_) {
      finish(fleet::JobResult::End::kKept);
    } else {
      start(Work::kCutOver);
    }
  }
  void start(Work work) {
    if (!order_.is_ours()) {
      return finish(model_.guests[guest_].synced ? fleet::JobResult::End::kKept
                                                 : fleet::JobResult::End::kUndone);
    }
    child_ = std::make_shared<ModelChild>(model_, guest_, worker_, work);
    model_.children.push_back(child_);
    model_.guests[guest_].bandwidth = allowed_;
  }
  void child_ended() {
    const bool failed = child_->failed;
    child_.reset();
    if (failed) {
      return finish(fleet::JobResult::End::kFailed);
    }
    if (model_.guests[guest_].moved) {
      return finish(fleet::JobResult::End::kMoved);
    }
    if (order_.plan.jobs.front().warm) {
      return;  // what is there now says how it goes on
    }
    if (order_.undo_only || stop_) {
      finish(fleet::JobResult::End::kUndone);
    }
  }

  FleetModel& model_;
  const std::string worker_;
  const fleet::JobOrder order_;
  const std::string guest_;
  uint64_t allowed_;
  std::shared_ptr<ModelChild> child_;
  std::optional<fleet::JobStop> stop_;
  std::optional<fleet::JobResult> result_;
};

Error no_answer() {
  return Error(
      {.kind = ErrorKind::kIo, .object = "the model", .action = "ask", .cause = "no answer came"});
}

}  // namespace

void FleetModel::pass(std::chrono::milliseconds time) {
  now += time;
  for (const auto& child : children) {
    if (const auto lives = child.lock()) {
      lives->work(time);
    }
  }
  std::erase_if(children, [](const auto& child) { return child.expired(); });
  for (size_t i = 0; i < late.size();) {
    if (late[i].first > now) {
      ++i;
      continue;
    }
    const auto arrives = late[i].second;
    late.erase(late.begin() + static_cast<std::ptrdiff_t>(i));
    arrives();
  }
}

void ModelObject::fail_perhaps() {
  if (model_.between) {
    model_.between();
  }
  if (model_.chance(model_.faults.fail)) {
    throw no_answer();
  }
  if (!model_.exists) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = "the model",
                 .action = "read",
                 .cause = "it does not exist"});
  }
}

bool ModelObject::holds(const std::string& lease) const {
  const auto found = model_.leases.find(lease);
  return found != model_.leases.end() && found->second.until > model_.now &&
         found->second.holder == holder_;
}

Changed ModelObject::done(const ObjectChange& change) {
  if (change.create == model_.exists) {
    return Changed::kOtherwise;
  }
  if (!change.lease.empty() && !holds(change.lease)) {
    return Changed::kLeaseLost;
  }
  for (const auto& [key, value] : change.expect) {
    const auto found = model_.keys.find(key);
    if ((found == model_.keys.end() ? "" : found->second) != value) {
      return Changed::kOtherwise;
    }
  }
  if (!change.ended_lease.empty() && is_leased(change.ended_lease)) {
    return Changed::kOtherwise;
  }
  model_.leases.erase(change.ended_lease);
  model_.exists = true;
  ++model_.changes;
  for (const auto& [key, value] : change.set) {
    model_.keys[key] = value;
  }
  for (const std::string& key : change.remove) {
    model_.keys.erase(key);
  }
  return Changed::kDone;
}

Changed ModelObject::change(const ObjectChange& change) {
  if (model_.between) {
    model_.between();
  }
  if (model_.chance(model_.faults.fail)) {
    throw no_answer();
  }
  if (model_.chance(model_.faults.late)) {
    const auto when = model_.now + std::chrono::milliseconds(model_.random() % 20000);
    // Whose it was may be gone by then: the cluster knows the client all the same.
    model_.late.emplace_back(
        when,
        [copy = change, handle = ModelObject(model_, holder_)]() mutable { handle.done(copy); });
    throw no_answer();
  }
  const Changed result = done(change);
  if (model_.chance(model_.faults.lose)) {
    throw no_answer();
  }
  return result;
}

std::map<std::string, std::string> ModelObject::get(const std::vector<std::string>& keys) {
  fail_perhaps();
  std::map<std::string, std::string> values;
  for (const std::string& key : keys) {
    if (model_.keys.contains(key)) {
      values[key] = model_.keys[key];
    }
  }
  return values;
}

KeyRange ModelObject::list(const std::string& prefix, const std::string& after, size_t most) {
  fail_perhaps();
  KeyRange range;
  for (auto at = model_.keys.lower_bound(prefix);
       at != model_.keys.end() && at->first.starts_with(prefix); ++at) {
    if (at->first <= after) {
      continue;
    }
    if (range.keys.size() == most) {
      range.more = true;
      break;
    }
    range.keys.insert(*at);
  }
  return range;
}

bool ModelObject::take_lease(const std::string& name, std::chrono::seconds duration) {
  fail_perhaps();
  if (is_leased(name) && !holds(name)) {
    return false;
  }
  model_.leases[name] = {.holder = holder_, .until = model_.now + duration};
  return true;
}

bool ModelObject::renew_lease(const std::string& name, std::chrono::seconds duration) {
  fail_perhaps();
  if (!holds(name)) {
    return false;
  }
  model_.leases[name].until = model_.now + duration;
  return true;
}

void ModelObject::drop_lease(const std::string& name) {
  fail_perhaps();
  if (holds(name)) {
    model_.leases.erase(name);
  }
}

std::set<std::string> ModelObject::leased(const std::vector<std::string>& names) {
  fail_perhaps();
  std::set<std::string> held;
  std::copy_if(names.begin(), names.end(), std::inserter(held, held.end()),
               [this](const std::string& name) { return is_leased(name); });
  return held;
}

bool ModelObject::is_leased(const std::string& name) const {
  const auto found = model_.leases.find(name);
  return found != model_.leases.end() && found->second.until > model_.now;
}

std::unique_ptr<fleet::JobRun> ModelRunner::begin(const fleet::JobOrder& order) {
  return std::make_unique<ModelRun>(model_, worker_, order);
}

FleetPlan model_plan(unsigned hosts, unsigned jobs, unsigned waves) {
  FleetPlan plan;
  plan.pool = "vms";
  for (unsigned i = 0; i < jobs; ++i) {
    FleetJob job;
    job.name = "g" + std::to_string(i + 1);
    job.host = "h" + std::to_string(i % hosts + 1);
    job.connect = "qemu+ssh://" + job.host + "/system";
    job.uuid = "00000000-0000-4000-8000-" + std::to_string(100000000000 + i);
    job.wave = i * waves / jobs + 1;
    job.data = 1000;
    job.disks = {{.dev = "vda", .target = {.pool = "vms", .image = job.name + "-vda"}}};
    plan.jobs.push_back(std::move(job));
  }
  return plan;
}

void make_some_warm(FleetPlan& plan) {
  for (size_t i = 0; i < plan.jobs.size(); i += 3) {
    FleetJob& job = plan.jobs[i];
    job.way = MigrateMode::kLive;
    job.warm = true;
    job.cutover_wave = i % 2 == 0 ? 0 : plan.jobs.back().wave;
  }
}

}  // namespace vmferry::test
