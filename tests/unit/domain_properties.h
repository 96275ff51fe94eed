// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "vmferry/domain.h"

// What is true of rewriting whatever the definition: for the unit tests and for the fuzzer.

namespace vmferry::test {

/// Moves that take every disk that can move to RBD.
std::vector<DiskMove> all_to_rbd(const Domain& domain);

/// What is wrong with rewriting the definition; empty if nothing is. Checked: the named disks are
/// on their targets, nothing else has changed, and doing it again changes nothing.
std::string broken_property(const Domain& before, const std::vector<DiskMove>& moves);

}  // namespace vmferry::test
