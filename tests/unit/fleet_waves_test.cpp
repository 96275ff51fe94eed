// SPDX-License-Identifier: LGPL-2.1-or-later
#include <map>
#include <string>
#include <vector>

#include "lib/fleet/waves.h"
#include "tests/unit/catch.h"

namespace vmferry::test {
namespace {

std::map<std::string, unsigned> waves_of(std::vector<FleetJob> jobs, const FleetRequest& request) {
  fleet::set_waves(jobs, request);
  std::map<std::string, unsigned> waves;
  for (const FleetJob& job : jobs) {
    waves[job.name] = job.wave;
  }
  return waves;
}

std::vector<FleetJob> jobs_of_two_hosts() {
  std::vector<FleetJob> jobs;
  for (const auto& [host, name] :
       {std::pair{"h1", "db1"}, std::pair{"h1", "db2"}, std::pair{"h1", "web1"},
        std::pair{"h1", "web2"}, std::pair{"h2", "app1"}, std::pair{"h2", "web3"}}) {
    FleetJob job;
    job.host = host;
    job.name = name;
    jobs.push_back(job);
  }
  return jobs;
}

}  // namespace

TEST_CASE("rules and a size put guests into waves", "[fleet]") {
  using Waves = std::map<std::string, unsigned>;
  FleetRequest request;
  CHECK(waves_of(jobs_of_two_hosts(), request) ==
        Waves{{"db1", 1}, {"db2", 1}, {"web1", 1}, {"web2", 1}, {"app1", 1}, {"web3", 1}});
  request.wave_size = 2;  // hosts take turns
  CHECK(waves_of(jobs_of_two_hosts(), request) ==
        Waves{{"db1", 1}, {"app1", 1}, {"db2", 2}, {"web3", 2}, {"web1", 3}, {"web2", 3}});
  request.waves = {{.pattern = "web[2-3]", .wave = 7}, {.pattern = "web*", .wave = 9}};
  CHECK(waves_of(jobs_of_two_hosts(), request) ==
        Waves{{"db1", 1}, {"app1", 1}, {"db2", 2}, {"web1", 9}, {"web2", 7}, {"web3", 7}});
}

}  // namespace vmferry::test
