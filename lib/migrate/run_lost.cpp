// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/run.h"
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

// A host that stops to answer in the middle of a move.

namespace vmferry::migrate {
namespace {

bool answers(const Machine& machine) {
  try {
    machine.state();
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string lost(const std::string& host, const std::string& uri) {
  return "; libvirt does not answer any more on " + (host.empty() ? uri : host) +
         (uri.empty() || host.empty() ? "" : " (" + uri + ")");
}

}  // namespace

ErrorParts Run::about_lost_host(ErrorParts parts) const {
  if (!answers(source_)) {
    parts.cause += lost(plan_.source_host.hostname, plan_.request.from);
    return parts;
  }
  if (!target_is_known() || answers(target_)) {
    return parts;
  }
  parts.cause += lost(plan_.target_host.hostname, plan_.request.to);
  try {
    const std::string ways = ways_alone();
    parts.hint += (parts.hint.empty() || ways.empty() ? "" : "; ") + ways;
  } catch (const Error&) {
    return parts;  // the guest cannot be asked about either
  }
  return parts;
}

std::string Run::ways_alone() const {
  if (!plan_.request.to_other_host()) {
    return {};
  }
  const bool runs_here = source_.active();
  const std::string off =
      plan_.was_running && !runs_here && !may_be_at_target() ? "the guest is off; " : "";
  if (!runs_here && may_be_at_target()) {
    return "the guest does not run here, and may run there: that host has to answer first";
  }
  const bool depends = is_live(plan_.method) && turned();
  const std::string undo = depends ? "" : recovery("--undo");
  const std::string stay =
      runs_here && plan_.method == CopyMethod::kStaged ? recovery("--stay") : "";
  if (undo.empty() && stay.empty()) {
    return {};
  }
  return off + "without that host: " + undo + (undo.empty() || stay.empty() ? "" : ", or ") + stay;
}

}  // namespace vmferry::migrate
