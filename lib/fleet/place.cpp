// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/place.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "vmferry/error.h"

namespace vmferry::fleet {
namespace {

constexpr size_t kLongestName = 64;
constexpr size_t kMostFleets = 1000;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

std::string display(const std::string& name, const std::string& pool) {
  return fmt::format("fleet '{}' in pool '{}'", name, pool);
}

void require_name(const std::string& name) {
  if (!name.empty() && name.size() <= kLongestName && name.front() != '-' &&
      std::all_of(name.begin(), name.end(), is_plain)) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = "fleet '" + name + "'",
               .action = "look at its name",
               .cause = "a name is 1 to 64 letters, digits, '.', '_' and '-'",
               .hint = "choose another name"});
}

FleetPlace found(FleetPlace place) {
  require_name(place.name);
  if (!place.pool.empty()) {
    return place;
  }
  const auto pools = pools_with_object(kNamespace, kObjectPrefix + place.name, place.ceph);
  if (pools.size() != 1) {
    std::string all;
    for (const std::string& pool : pools) {
      all += (all.empty() ? "" : ", ") + pool;
    }
    throw Error({.kind = pools.empty() ? ErrorKind::kNotFound : ErrorKind::kUsage,
                 .object = "fleet '" + place.name + "'",
                 .action = "look for it",
                 .cause = pools.empty() ? "no pool that this user may read has it"
                                        : "several pools have one of that name: " + all,
                 .hint = "name its pool with --pool"});
  }
  place.pool = pools.front();
  return place;
}

std::unique_ptr<SharedObject> open_fleet(const FleetPlace& place, std::chrono::seconds patience) {
  return open_shared_object({.pool = place.pool,
                             .name_space = kNamespace,
                             .name = kObjectPrefix + place.name,
                             .what = display(place.name, place.pool)},
                            place.ceph, patience);
}

std::unique_ptr<SharedObject> open_list(const std::string& pool, const CephOptions& ceph) {
  return open_shared_object({.pool = pool,
                             .name_space = kNamespace,
                             .name = kListObject,
                             .what = "the list of fleets in pool '" + pool + "'"},
                            ceph, kPatience);
}

std::map<std::string, std::string> fleets_of(const std::string& pool, const CephOptions& ceph) {
  try {
    return open_list(pool, ceph)->list("", "", kMostFleets).keys;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kNotFound) {
      return {};
    }
    throw;
  }
}

void put_on_list(const FleetPlace& place, const std::string& value) {
  const auto list = open_list(place.pool, place.ceph);
  ObjectChange change;
  change.set[place.name] = value;
  try {
    list->change(change);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) {
      throw;
    }
    change.create = true;
    if (list->change(change) == Changed::kOtherwise) {  // somebody else just made it
      change.create = false;
      list->change(change);
    }
  }
}

std::string own_name(const std::string& host) {
  std::random_device random;
  constexpr size_t kMostOfHost =
      40;  // of the attribute with the lease: osd_max_attr_name_len is 100
  return fmt::format("{}:{}:{:08x}{:08x}", host.substr(0, kMostOfHost), ::getpid(), random(),
                     random());
}

OpenFleet::OpenFleet(const FleetPlace& place)
    : place_(found(place)),
      object_(open_fleet(place_, kPatience)),
      ledger_(*object_, display(place_.name, place_.pool), own_name("")) {}

}  // namespace vmferry::fleet
