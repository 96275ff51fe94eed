// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/migrate_rig.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>

#include "tests/unit/text_file.h"

namespace vmferry::test {
namespace fs = std::filesystem;
namespace {

/// What passes on the rig's clock from one look at it to the next.
constexpr std::chrono::milliseconds kBetweenLooks{500};

}  // namespace

Rig::Rig(const WayUnderTest& way)
    : way_(way.name), world_(std::make_shared<World>()), storage_(world_) {
  // In memory where that is to be had: every step of a journal is made durable.
  std::string dir = (fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) /
                    "vmferry-test-XXXXXX";
  if (!::mkdtemp(dir.data())) {
    throw std::runtime_error("no temporary directory");
  }
  state_dir_ = dir;
  // Time passes by being asked for, so that no limit of time is ever waited for.
  patience.poll = std::chrono::milliseconds(0);
  // Calls that do not hang are never looked in on: each run makes the same calls.
  patience.watch = std::chrono::seconds(60);
  patience.now = [time = std::make_shared<std::atomic<int64_t>>(0)] {
    return std::chrono::steady_clock::time_point(kBetweenLooks * ++*time);
  };

  for (const std::string name : {"alpha", "beta"}) {
    HostData& host = world_->hosts[name];
    host.facts = {.uri = "qemu+unix:///system?socket=/run/" + name,
                  .hostname = name,
                  .uuid = "host-" + name,
                  .libvirt = 9000000,
                  .hypervisor = 7002000,
                  .local = true,
                  .rbd_driver = true};
    host.secrets[kSecretUuid] = kSecretKey;
  }
  world_->key = kSecretKey;
  world_->pools["vms"].exists = true;
  world_->pools["vms"].for_rbd = true;
  world_->pools["vms"].available = uint64_t{1} << 40;
  world_->images["/iso/tools.iso"] = {};
  world_->images["rbd:vms/other"] = {.size = kDiskBytes};
  world_->foreign = {"/iso/tools.iso", "rbd:vms/other"};
  request.domain = kGuestName;
  request.shutdown_timeout = std::chrono::seconds(5);
  way.prepare(*world_, request);
  if (world_->on_rungs) {
    patience.watch = std::chrono::milliseconds(1);
  }
  remember();
}

Rig::~Rig() {
  world_->release();
  std::error_code ignored;
  fs::remove_all(state_dir_, ignored);
}

void Rig::remember() {
  before_ = guest();
  images_before_.clear();
  for (const auto& [name, image] : world_->images) {
    images_before_.insert(name);
  }
}

MigrateContext Rig::context(Listener& listener, std::stop_token stop) {
  MigrateContext context{.source = alpha_host_,
                         .target = nullptr,
                         .storage = &storage_,
                         .observer = &listener,
                         .state_dir = state_dir_,
                         .stop = std::move(stop),
                         .patience = patience};
  context.rate = rate;
  std::shared_ptr<Host> target = beta_host_;
  if (trace) {
    context.source = trace_calls(context.source, "alpha", trace);
    target = trace_calls(target, "beta", trace);
  }
  context.target = request.to.empty() ? context.source : target;
  return context;
}

const Plan& Rig::plan_of_way() const {
  static std::map<std::string, Plan> plans;
  const auto found = plans.find(way_);
  if (found != plans.end()) {
    return found->second;
  }
  return plans.emplace(way_, Rig(way_named(way_)).plan()).first->second;
}

DomainData* Rig::present() {
  const auto here = alpha().domains.find(kGuestName);
  const auto there = beta().domains.find(kGuestName);
  const bool is_there = there != beta().domains.end() && there->second.active();
  if (here != alpha().domains.end() && !is_there) {
    return &here->second;
  }
  return there != beta().domains.end() ? &there->second : nullptr;
}

Plan Rig::plan() {
  Listener listener;
  return plan_migration(request, context(listener, {}));
}

Outcome Rig::attempt(const std::function<MigrateReport(const MigrateContext&)>& act,
                     std::stop_token stop) {
  Listener listener;
  Outcome outcome;
  try {
    outcome.report = act(context(listener, std::move(stop)));
  } catch (const Error& error) {
    outcome.error = error.kind();
    outcome.message = error.what();
    outcome.hint = error.hint();
  } catch (const Killed&) {
    outcome.killed = true;
  }
  said_last_ = listener.said + outcome.message + "\n" + outcome.hint + "\n";
  said_ += said_last_;
  return outcome;
}

Outcome Rig::run(const Plan& plan, std::stop_token stop) {
  return attempt([&](const MigrateContext& context) { return execute_migration(plan, context); },
                 std::move(stop));
}

Outcome Rig::recover(Recovery recovery, std::stop_token stop) {
  return attempt(
      [&](const MigrateContext& context) { return recover_migration(request, recovery, context); },
      std::move(stop));
}

bool Rig::has_journal() const { return fs::exists(state_dir_ + "/" + kGuestName + ".json"); }

std::string Rig::state_text() const {
  std::string text;
  for (const auto& entry : fs::directory_iterator(state_dir_)) {
    text += read_text(entry.path());
  }
  return text;
}

DomainData* Rig::running() {
  for (auto& [name, host] : world_->hosts) {
    for (auto& [domain_name, domain] : host.domains) {
      if (domain.active() && !domain.incoming) {
        return &domain;
      }
    }
  }
  return nullptr;
}

void Rig::power_off() {
  guest_was_stopped = true;
  if (DomainData* domain = running()) {
    world_->stop(*domain);
  }
}

void Rig::power_on() {
  if (running()) {
    return;
  }
  // Its disks of now are where it ran last; who starts an old copy of it gets an old state.
  const std::string last = world_->guests.at(kGuestUuid).ran_on;
  HostData* host = &world_->hosts.at(last);
  if (!host->domains.contains(kGuestName)) {
    host = last == "alpha" ? &beta() : &alpha();
  }
  const auto found = host->domains.find(kGuestName);
  if (found != host->domains.end() && found->second.state == DomainState::kShutOff) {
    world_->launch(*host, found->second, false);
  }
}

void Rig::undefine_where_it_did_not_run() {
  for (auto& [name, host] : world_->hosts) {
    if (name != world_->guests.at(kGuestUuid).ran_on && !host.domains[kGuestName].active()) {
      host.domains.erase(kGuestName);
    }
  }
}

}  // namespace vmferry::test
