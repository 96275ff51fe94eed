// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/fleet_report.h"

#include <array>
#include <utility>

#include "lib/fleet/moves.h"
#include "lib/fleet/place.h"

namespace vmferry {

std::string word_of(OldDiskState state) {
  static constexpr std::array<std::pair<OldDiskState, const char*>, 4> kWords = {
      {{OldDiskState::kNothing, "nothing"},
       {OldDiskState::kLeft, "left"},
       {OldDiskState::kRemoved, "removed"},
       {OldDiskState::kGone, "gone"}}};
  for (const auto& [each, word] : kWords) {
    if (state == each) {
      return word;
    }
  }
  return {};
}

FleetReport fleet_report(const FleetPlace& place) {
  fleet::OpenFleet fleet(place);
  const FleetPlan plan = read_plan(fleet.object().data(), fleet.ledger().what());
  FleetReport report = fleet::report_of(fleet.ledger(), plan);
  report.status.name = fleet.place().name;
  report.status.pool = fleet.place().pool;
  return report;
}

}  // namespace vmferry
