// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/waves.h"

#include <fnmatch.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

namespace vmferry::fleet {
namespace {

/// Null: none fits.
const FleetWaveRule* rule_for(const FleetJob& job, const std::vector<FleetWaveRule>& rules) {
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const FleetWaveRule& rule) {
    return ::fnmatch(rule.pattern.c_str(), job.name.c_str(), 0) == 0;
  });
  return found == rules.end() ? nullptr : &*found;
}

}  // namespace

void set_waves(std::vector<FleetJob>& jobs, const FleetRequest& request) {
  std::vector<std::pair<size_t, FleetJob*>> others;  // with how many of its host come before
  std::map<std::string, size_t> of_host;
  for (FleetJob& job : jobs) {
    if (const FleetWaveRule* rule = rule_for(job, request.waves)) {
      job.wave = rule->wave;
    } else if (request.wave_size != 0) {
      others.emplace_back(of_host[job.host]++, &job);
    }
  }
  std::stable_sort(others.begin(), others.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 0; i < others.size(); ++i) {
    others[i].second->wave = static_cast<unsigned>(i / request.wave_size + 1);
  }
}

}  // namespace vmferry::fleet
