// SPDX-License-Identifier: LGPL-2.1-or-later
#include <catch2/catch.hpp>

#include "tests/unit/migrate_rig.h"

// What the new disks of a migration are called, and what its plan says of the old ones.

namespace vmferry::test {
namespace {

const WayUnderTest& way_named(const std::string& name) {
  for (const WayUnderTest& way : all_ways())
    if (way.name == name) return way;
  throw std::logic_error(name);
}

ErrorKind refusal(Rig& rig) {
  try {
    rig.plan();
  } catch (const Error& error) {
    return error.kind();
  }
  FAIL("not refused");
  return ErrorKind::kIo;
}

}  // namespace

TEST_CASE("names of new disks are made as those of rewrite", "[migrate]") {
  Rig rig(way_named("staged here"));
  rig.request.name_template = "{uuid}_{dev}";
  CHECK(rig.plan().disks[0].volume.image == std::string(kGuestUuid) + "_vda");
  rig.request.disks["vdb"] = {"vms", "named"};
  CHECK(rig.plan().disks[0].volume.image == "named");

  Rig back(way_named("back to files, live"));
  back.request.name_template = "{dev}-of-{uuid}";
  CHECK(back.plan().disks[0].image.path == std::string("/back/vda-of-") + kGuestUuid + ".raw");

  for (const char* bad : {"{host}-{dev}", "{dev", "{domain}@{dev}", "{domain}/{dev}"}) {
    CAPTURE(bad);
    rig.request.disks.clear();
    rig.request.name_template = bad;
    CHECK(refusal(rig) == ErrorKind::kUsage);
  }
}

}  // namespace vmferry::test
