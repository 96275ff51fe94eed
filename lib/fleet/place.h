// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "lib/fleet/ledger.h"
#include "lib/store/rbd/shared_object.h"
#include "vmferry/fleet_state.h"

namespace vmferry::fleet {

/// How long one operation on a fleet's object may take where nobody's lease depends on it.
inline constexpr std::chrono::seconds kPatience{10};

/// "fleet 'move1' in pool 'vms'".
std::string display(const std::string& name, const std::string& pool);

/// Throws Error (kUsage) for what cannot be a fleet's name: 1 to 64 of a-z A-Z 0-9 . _ -
void require_name(const std::string& name);

/// Where the fleet is, with its pool, which is looked for if it is not named.
FleetPlace found(FleetPlace place);

std::unique_ptr<SharedObject> open_fleet(const FleetPlace& place, std::chrono::seconds patience);
std::unique_ptr<SharedObject> open_list(const std::string& pool, const CephOptions& ceph);
/// The fleets that the pool's list names, some of which may be gone. The value of one changes when
/// it may have got new work.
std::map<std::string, std::string> fleets_of(const std::string& pool, const CephOptions& ceph);
/// Puts a fleet there, or changes its value.
void put_on_list(const FleetPlace& place, const std::string& value);

/// A name that no other process has: of this host, this process and a random number.
std::string own_name(const std::string& host);

/// A fleet that is open for one command.
class OpenFleet {
 public:
  explicit OpenFleet(const FleetPlace& place);

  const FleetPlace& place() const { return place_; }
  SharedObject& object() { return *object_; }
  Ledger& ledger() { return ledger_; }

 private:
  const FleetPlace place_;
  const std::unique_ptr<SharedObject> object_;
  Ledger ledger_;
};

}  // namespace vmferry::fleet
