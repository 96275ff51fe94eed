// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "lib/store/rbd/ceph_connections.h"
#include "lib/store/rbd/ceph_monitors.h"
#include "lib/store/rbd/rbd_admin.h"

namespace vmferry {
namespace {

using nlohmann::json;

/// Names of health checks, from Ceph's "Health checks" page (and OSDMap::check_health, PGMap).
const std::set<std::string_view> kBusyOrFull = {
    "PG_AVAILABILITY", "PG_DEGRADED",       "PG_RECOVERY_FULL", "PG_BACKFILL_FULL",
    "OSD_DOWN",        "OSD_HOST_DOWN",     "OSD_FULL",         "OSD_BACKFILLFULL",
    "OSD_NEARFULL",    "POOL_FULL",         "POOL_NEARFULL",    "POOL_NEAR_FULL",
    "SLOW_OPS",        "POOL_BACKFILLFULL", "REQUEST_SLOW",     "REQUEST_STUCK"};
constexpr unsigned kHealthPatience = 7;  // seconds, for the connection and for the answer

bool is_about_load(const std::string& name, const std::string& message) {
  const bool stands = message.find("pause") != message.npos || message.find("full") != message.npos;
  return kBusyOrFull.contains(name) || (name == "OSDMAP_FLAGS" && stands);
}

/// What is nearly full has to be said of this pool, where it is said of pools.
bool is_about_another_pool(const std::string& name, const json& check, const std::string& pool) {
  if (!name.starts_with("POOL_") || !check.contains("detail") || check["detail"].empty()) {
    return false;
  }
  const std::string ours = "pool '" + pool + "'";
  return std::none_of(check["detail"].begin(), check["detail"].end(), [&](const json& detail) {
    return detail.at("message").get<std::string>().find(ours) != std::string::npos;
  });
}

}  // namespace

std::vector<std::string> ceph_troubles(const std::string& pool, const CephOptions& options) {
  CephOptions quick = options;
  quick.timeout = std::min(quick.timeout, kHealthPatience);
  const RbdLocation location{.pool = pool};
  const auto client = connect_to_ceph(location, quick, CephSharing::kShared);
  const auto report = ask_monitors(
      *client, {{"prefix", "health"}, {"detail", "detail"}, {"format", "json"}}, location);
  std::vector<std::string> silent = {"the cluster does not say how it is"};
  std::vector<std::string> troubles;
  try {
    if (!report) {
      return silent;
    }
    for (const auto& [name, check] : report->at("checks").items()) {
      const auto message = check.at("summary").at("message").get<std::string>();
      const bool muted = check.value("muted", false);
      if (!muted && is_about_load(name, message) && !is_about_another_pool(name, check, pool)) {
        troubles.push_back(message);
      }
    }
  } catch (const json::exception&) {
    return silent;  // another version's words
  }
  return troubles;
}

}  // namespace vmferry
