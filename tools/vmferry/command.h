// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>

#include "tools/vmferry/ui/session.h"

namespace vmferry::cli {

/// One command of the program. `add` declares its options on `app` and returns what runs it; the
/// options live in what is returned. The number that it returns is the exit status; errors are
/// thrown.
struct Command {
  const char* name;
  const char* summary;
  std::function<int(Session&)> (*add)(CLI::App& app);
};

std::function<int(Session&)> add_bases(CLI::App& app);
std::function<int(Session&)> add_convert(CLI::App& app);
std::function<int(Session&)> add_compare(CLI::App& app);
std::function<int(Session&)> add_info(CLI::App& app);
std::function<int(Session&)> add_map(CLI::App& app);
std::function<int(Session&)> add_rewrite(CLI::App& app);
std::function<int(Session&)> add_migrate(CLI::App& app);
std::function<int(Session&)> add_rehearse(CLI::App& app);
std::function<int(Session&)> add_sparsify(CLI::App& app);
std::function<int(Session&)> add_sync(CLI::App& app);
std::function<int(Session&)> add_cutover(CLI::App& app);
std::function<int(Session&)> add_fleet(CLI::App& app);

// Of `vmferry fleet`.
std::function<int(Session&)> add_fleet_plan(CLI::App& app);
std::function<int(Session&)> add_fleet_submit(CLI::App& app);
std::function<int(Session&)> add_fleet_work(CLI::App& app);
std::function<int(Session&)> add_fleet_status(CLI::App& app);
std::function<int(Session&)> add_fleet_pause(CLI::App& app);
std::function<int(Session&)> add_fleet_resume(CLI::App& app);
std::function<int(Session&)> add_fleet_cancel(CLI::App& app);
std::function<int(Session&)> add_fleet_retry(CLI::App& app);
std::function<int(Session&)> add_fleet_report(CLI::App& app);
std::function<int(Session&)> add_fleet_clean(CLI::App& app);

}  // namespace vmferry::cli
