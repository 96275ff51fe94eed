// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lib/migrate/facts.h"

namespace vmferry::test {

/// A machine web1 with one disk, vda.
inline constexpr const char* kMachine = R"(<domain type='kvm'><name>web1</name>
<uuid>6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f</uuid><devices>
<disk type='file' device='disk'><source file='/img/a.img'/><target dev='vda'/></disk>
</devices></domain>)";

HostFacts host(const std::string& name);
/// Of a machine that runs, with which nothing is wrong.
migrate::Facts good_facts();
MigrateRequest request_to_pool();
void to_beta(MigrateRequest& request, migrate::Facts& facts);
void left_at(migrate::Facts& facts, migrate::LeftDisk::Reach reach);
/// The names of the checks with that result.
std::string failures(const Plan& plan, Check::Result result = Check::Result::kFailed);

struct BadCase {
  std::string check;  ///< the name of the one that fails
  std::function<void(MigrateRequest&, migrate::Facts&)> spoil;
};
const std::vector<BadCase>& bad_cases();

}  // namespace vmferry::test
