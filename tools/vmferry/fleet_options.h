// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <CLI/CLI.hpp>

#include "vmferry/fleet_state.h"

namespace vmferry::cli {

/// NAME, --pool and how to reach the cluster, of commands on a fleet that was submitted.
void add_fleet_place(CLI::App& app, FleetPlace& place);

}  // namespace vmferry::cli
