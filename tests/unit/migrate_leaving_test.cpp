// SPDX-License-Identifier: LGPL-2.1-or-later

#include "lib/libvirt/monitor.h"
#include "lib/migrate/route.h"
#include "tests/unit/catch.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"

// What keeps a machine on its host, and where it is sent.

namespace vmferry::test {
namespace {

using migrate::Route;
using migrate::route_of;

std::string text_of(const Route& route) { return route.listen + " <- " + route.uri; }

MigrateRequest request_with(const std::string& listen, const std::string& uri) {
  MigrateRequest request;
  request.listen_address = listen;
  request.migration_uri = uri;
  return request;
}

}  // namespace

TEST_CASE("a guest is sent to where the target listens", "[migrate]") {
  const std::string there = "qemu+ssh://root@192.0.2.7:22/system";
  CHECK(text_of(route_of({}, there)) == "192.0.2.7 <- tcp://192.0.2.7");
  CHECK(text_of(route_of({}, "qemu+tls://[2001:db8::7]/system")) ==
        "2001:db8::7 <- tcp://[2001:db8::7]");
  CHECK(text_of(route_of({}, "qemu:///system?socket=/a/b")) == "127.0.0.1 <- tcp://127.0.0.1");
  CHECK(text_of(route_of(request_with("192.0.2.9", ""), there)) == "192.0.2.9 <- tcp://192.0.2.9");
  CHECK(text_of(route_of(request_with("0.0.0.0", ""), there)) == "0.0.0.0 <- ");
  CHECK(text_of(route_of(request_with("192.0.2.9", "tcp://192.0.2.8"), there)) ==
        "192.0.2.9 <- tcp://192.0.2.8");
  MigrateRequest secure;
  secure.tls = true;
  CHECK(text_of(route_of(secure, there)) == " <- ");
}

TEST_CASE("a guest that would be sent elsewhere is not sent", "[migrate]") {
  CHECK_THROWS_AS(migrate::require_one_address({"127.0.0.2", "tcp://127.0.0.3:49999"}), Error);
  CHECK_NOTHROW(migrate::require_one_address({"127.0.0.2", "tcp://127.0.0.2:49999"}));
  CHECK_NOTHROW(migrate::require_one_address({"127.0.0.2", "tcp://127.0.0.2"}));
  CHECK_NOTHROW(migrate::require_one_address({"::1", "tcp://[::1]:49999"}));
  CHECK_NOTHROW(migrate::require_one_address({"0.0.0.0", "tcp://127.0.0.3"}));
  CHECK_NOTHROW(migrate::require_one_address({"", "tcp://127.0.0.3"}));
  CHECK_NOTHROW(migrate::require_one_address({"127.0.0.2", ""}));
  CHECK_NOTHROW(migrate::require_one_address({"127.0.0.2", "unix:///run/migration.sock"}));
  for (const char* nonsense : {"nonsense", "tcp://", "tcp://[::1", "tcp:127.0.0.2"}) {
    CHECK_THROWS_WITH(migrate::require_one_address({"127.0.0.2", nonsense}),
                      Contains("is not a migration URI"));
  }
  CHECK_THROWS_AS(migrate::require_one_address({"127.0.0.2", "tcp://no-such-host.invalid"}), Error);
}

TEST_CASE("an address answers also where nobody listens yet", "[migrate]") {
  CHECK(migrate::try_to_reach({"", "tcp://127.0.0.1:1"}));
  CHECK_FALSE(migrate::try_to_reach({"", ""}));
  CHECK_FALSE(migrate::try_to_reach({"", "unix:///run/migration.sock"}));
  // A broadcast address is nobody's.
  CHECK_THROWS_AS(migrate::try_to_reach({"", "tcp://255.255.255.255"}), Error);
}

TEST_CASE("QEMU's reasons are read from what it answers", "[migrate]") {
  using libvirt::migration_blockers;
  CHECK(migration_blockers(R"({"return": {}})").empty());
  CHECK(migration_blockers(R"({"return": {"status": "completed"}})").empty());
  const std::vector<std::string> two = {"a", "b"};
  CHECK(migration_blockers(R"({"return": {"blocked-reasons": ["a", "b"]}})") == two);
  CHECK_THROWS_AS(migration_blockers(R"({"return": {"blocked-reasons": 7}})"), Error);
  CHECK_THROWS_AS(migration_blockers(R"({"error": {"desc": "no"}})"), Error);
  CHECK_THROWS_AS(migration_blockers("?"), Error);
}

TEST_CASE("devices that keep a machine on its host are seen", "[domain]") {
  const Domain domain =
      parse_domain(R"(<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<devices>
<disk><driver name='qemu' type='qcow2' copy_on_read='on'/><source file='/a'/><target dev='vda'/></disk>
<disk><driver name='qemu' copy_on_read='off'/><source file='/b'/><target dev='vdb'/></disk>
<shmem name='one'/><shmem name='two' role='peer'/><shmem name='three' role='master'/>
<filesystem><driver type='virtiofs'/><source dir='/d'/><target dir='t'/></filesystem>
<filesystem><source dir='/e'/><target dir='u'/></filesystem>
<interface type='vhostuser'><source type='unix' path='/run/v.sock'/></interface>
</devices>
<qemu:commandline><qemu:arg value='-drive'/><qemu:arg value='file=/srv/x.img'/></qemu:commandline>
</domain>)",
                   "web1");
  CHECK(domain.disks[0].copy_on_read);
  CHECK_FALSE(domain.disks[1].copy_on_read);
  const std::vector<std::string> tied = {"virtiofs file system t", "shared memory one",
                                         "shared memory two"};
  CHECK(domain.tied_devices == tied);
  std::string files;
  for (const HostFile& file : domain.host_files) {
    files += file.what + " " + file.path + ";";
  }
  CHECK(files ==
        "vhost-user interface /run/v.sock;filesystem /d;filesystem /e;"
        "qemu:commandline file=/srv/x.img;");
}

}  // namespace vmferry::test
