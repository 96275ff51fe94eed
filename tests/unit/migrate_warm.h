// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "tests/unit/migrate_rig.h"

// Warm moves in the worlds of a Rig.

namespace vmferry::test {

using Problems = std::vector<std::string>;

enum class WarmRunKind { kFirst, kLater, kCutover, kOffline, kStop, kAway, kOfflineAway };

/// From files; from volumes, of one moment by way of overlays; from one volume; from files, whose
/// overlays are committed while they are copied.
const std::vector<WayUnderTest>& warm_ways();

/// A run in one of those ways.
struct WarmCase {
  const WayUnderTest& way;
  WarmRunKind kind;
};
std::vector<WarmCase> warm_cases();
std::string text_of(const WarmCase& warm);

/// "NAME: MESSAGE (HINT)", a line each.
std::string checks_of(const Plan& plan, Check::Result result);
std::string failed_checks_of(const Plan& plan);
void run_well(Rig& rig, const Plan& plan);
void let_write(Rig& rig);
/// One more sync: the guest stays, wherever it is to go to.
void sync_here(Rig& rig);
void sync_four_times(Rig& rig);
/// Up to where that run begins, which is planned.
Plan prepared(Rig& rig, WarmRunKind kind);

Problems problems_if_moved_warm(Rig& rig);
/// Whatever happened: everything is whole, and the warm move can go on to its end.
void check_whole(Rig& rig);

}  // namespace vmferry::test
