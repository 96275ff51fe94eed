// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/xml_text.h"
#include "tests/unit/catch.h"
#include "tests/unit/fake_definition.h"
#include "tests/unit/migrate_facts_by_hand.h"

namespace vmferry::test {

TEST_CASE("texts for libvirt and QEMU escape what they must", "[migrate]") {
  const std::string nasty = "/img/<a> & 'b' \"c\" ü.qcow2";
  Plan plan;
  MovingDisk disk;
  disk.dev = "vda";
  disk.overlay = nasty;
  disk.bridge = nasty;
  disk.volume = {"po:ol", "im@a/ge=\\x & <y>"};
  plan.disks = {disk};
  const auto overlays =
      read_snapshot(migrate::snapshot_definition(plan, parse_domain(kMachine, "web1")));
  REQUIRE(overlays.count("vda") == 1);
  CHECK(overlays.at("vda").image == nasty);
  CHECK(overlays.at("vda").format == "qcow2");

  MigrateRequest request;
  request.user = "us:er";
  request.ceph_conf = "/etc/ceph/a=b:c.conf";
  request.monitors = {{"10.0.0.1", 6789}, {"::1", 3300}};
  request.secret.usage = "the \"secret\"";
  const std::vector<Layer> chain = read_disk_chain(migrate::bridge_disk(request, disk));
  REQUIRE(chain.size() == 2);
  CHECK(chain[0].image == nasty);
  CHECK(chain[1].image == "rbd:po:ol/im@a/ge=\\x & <y>");
  CHECK(chain[1].format == "raw");
  CHECK(chain[1].secret == "the \"secret\"");
  CHECK(migrate::qemu_volume_name(request, disk.volume) ==
        R"(rbd:po\:ol/im\@a\/ge\=\\x & <y>:conf=\/etc\/ceph\/a\=b\:c.conf:id=us\:er:mon_host=)"
        R"(10.0.0.1\:6789;[\:\:1]\:3300)");
}

TEST_CASE("an overlay of a new file is told the format of that file", "[migrate]") {
  MigrateRequest request;
  request.to_dir = "/back";
  for (const char* format : {"raw", "qcow2"}) {
    MovingDisk disk;
    disk.dev = "vda";
    disk.bridge = "/back/bridge";
    disk.image.path = "/back/a";
    disk.image.format = *find_format(format);
    const std::vector<Layer> chain = read_disk_chain(migrate::bridge_disk(request, disk));
    REQUIRE(chain.size() == 2);
    CHECK(chain[0].format == "qcow2");
    CHECK(chain[1].image == "/back/a");
    CHECK(chain[1].format == format);
  }
}

TEST_CASE("a disk that stays is left out of the snapshot by name", "[migrate]") {
  Plan plan;
  const std::string text = migrate::snapshot_definition(plan, parse_domain(kMachine, "web1"));
  CHECK(text.find("name=\"vda\" snapshot=\"no\"") != std::string::npos);
  CHECK(read_snapshot(text).empty());
}

}  // namespace vmferry::test
