// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include "lib/fleet/plan_volumes.h"
#include "lib/fleet/planning_storage.h"
#include "vmferry/error.h"
#include "vmferry/fleet.h"

namespace vmferry {
namespace fleet {

void check_volumes(const FleetPlan& plan, MigrationStorage& storage, FleetSurvey& survey) {
  for (const FleetJob& job : plan.jobs) {
    if (job.task != FleetTask::kSparsify) {
      continue;
    }
    try {
      const size_t writers = storage.writers(job.disks.front().target);
      if (writers == 0) {
        survey.plan.jobs.push_back(job);
        continue;
      }
      survey.refused.push_back({.guest = job.name,
                                .host = job.host,
                                .reasons = {fmt::format("{} client(s) have it open", writers)}});
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) {
        throw;
      }
      survey.refused.push_back({.guest = job.name, .host = job.host, .reasons = {error.what()}});
    }
  }
}

}  // namespace fleet

FleetSurvey plan_sparsify(const FleetSparsifyRequest& request, const FleetContext& context) {
  fleet::PlanningStorage storage(*context.storage);
  fleet::require_pool(request.pool, storage);
  FleetSurvey survey;
  FleetPlan& plan = survey.plan;
  plan.pool = request.pool;
  plan.ceph = request.ceph;
  plan.limits = request.limits;
  for (const std::string& image : storage.volumes(request.pool)) {
    FleetJob job;
    job.task = FleetTask::kSparsify;
    job.disks = {{.dev = {}, .target = {.pool = request.pool, .image = image}}};
    job.name = job.disks.front().target.display();
    job.host = request.hosts.at(plan.jobs.size() % request.hosts.size());
    if (const size_t writers = storage.writers(job.disks.front().target); writers > 0) {
      job.remarks = {
          fmt::format("{} client(s) have it open now: as long as one has, it is refused", writers)};
    }
    plan.jobs.push_back(std::move(job));
  }
  survey.sums = {fmt::format("pool {}: {} volumes", request.pool, plan.jobs.size())};
  plan.head = survey.sums;
  return survey;
}

}  // namespace vmferry
