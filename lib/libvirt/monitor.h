// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

// Commands of QEMU's monitor (QMP), for the little that libvirt has no call for.

namespace vmferry::libvirt {

/// Asks for all nodes.
std::string query_nodes();

/// Lets discards of the guest through to the raw or qcow2 image behind node `index`, and changes
/// nothing else. `nodes` is what QEMU answered to query_nodes. Throws Error: there is no such node,
/// or it is of another kind (libvirt opens raw images since 10.0 without a node of their format).
/// QEMU refuses the command if the image lies over another one.
std::string reopen_with_discard(const std::string& nodes, const std::string& index);

/// Commands that remove the nodes of an RBD volume, those above it first, from what QEMU answered
/// to query_nodes. QEMU refuses them for nodes in use.
std::vector<std::string> commands_to_forget(const std::string& nodes, const std::string& pool,
                                            const std::string& image);

/// Asks whether the guest could migrate now.
std::string query_migration();

/// Why it could not, from the answer to query_migration: "blocked-reasons" (QEMU 6.0 and later).
std::vector<std::string> migration_blockers(const std::string& answer);

/// Asks for the guest's run state.
std::string query_run_state();

/// That state, from the answer: see Guest::run_state.
std::string run_state(const std::string& answer);

/// Throws Error if QEMU's answer is that it failed.
void check_answer(const std::string& answer);

}  // namespace vmferry::libvirt
