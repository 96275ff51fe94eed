// SPDX-License-Identifier: LGPL-2.1-or-later
#include <chrono>
#include <filesystem>
#include <thread>

#include "lib/fleet/migrate_run.h"
#include "lib/migrate/journal.h"
#include "tests/unit/catch.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/text_file.h"
#include "vmferry/migrate.h"
#include "vmferry/sync.h"

// What a job does about the journal of a run that was killed on its host.

namespace vmferry::test {
namespace {

FleetPlan plan_of_one_guest() {
  FleetJob job;
  job.name = "web1";
  job.connect = "test:///default";
  job.uuid = "6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f";
  job.way = MigrateMode::kLive;
  FleetDisk disk;
  disk.dev = "vda";
  disk.target = {"vms", "web1-vda"};
  job.disks = {disk};
  FleetPlan plan;
  plan.pool = "vms";
  plan.jobs = {job};
  return plan;
}

/// The journal of a run of that kind that was killed as it began.
void leave_journal(const FleetPlan& plan, RunKind kind, const std::string& state_dir) {
  Plan left;
  left.request = migrate_request(plan, plan.jobs.front());
  left.kind = kind;
  left.was_running = true;
  migrate::Journal::begin(left, state_dir);
}

/// How the job ends. `program` stands for vmferry.
fleet::JobResult result_of_job(const FleetPlan& plan, const std::string& state_dir,
                               const std::string& program) {
  fleet::MigrateRunner runner(
      {.program = program, .connect = {}, .state_dir = state_dir, .ceph = {}});
  const auto run = runner.begin({.plan = plan});
  while (!run->look()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return run->result();
}

}  // namespace

TEST_CASE("A job leaves the journal of a warm move alone", "[fleet]") {
  const RunKind kind = GENERATE(RunKind::kSync, RunKind::kCutover, RunKind::kStop);
  const TempDir dir;
  const std::string state = dir / "state";
  const FleetPlan plan = plan_of_one_guest();
  leave_journal(plan, kind, state);
  const std::string program = dir / "program";
  const std::string trace = dir / "was-run";
  write_text(program, "#!/bin/sh\n: >'" + trace + "'\nexit 1\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);

  const fleet::JobResult result = result_of_job(plan, state, program);
  CHECK(result.end == fleet::JobResult::End::kFailed);
  CHECK_THAT(result.error, Contains("another move of it was left half done"));
  CHECK_FALSE(std::filesystem::exists(trace));
  CHECK(recorded_kind("web1", state) == kind);
}

TEST_CASE("A job goes on with the journal of the same move", "[fleet]") {
  const TempDir dir;
  const std::string state = dir / "state";
  const FleetPlan plan = plan_of_one_guest();
  leave_journal(plan, RunKind::kMove, state);
  const std::string program = dir / "program";
  const std::string arguments = dir / "arguments";
  write_text(program, "#!/bin/sh\necho \"$@\" >'" + arguments + "'\nexit 1\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);

  CHECK(result_of_job(plan, state, program).end == fleet::JobResult::End::kFailed);
  CHECK_THAT(read_text(arguments), Contains("--recover"));
}

}  // namespace vmferry::test
