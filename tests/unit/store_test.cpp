// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "lib/core/unique_fd.h"
#include "lib/image/backing.h"
#include "lib/store/descriptors.h"
#include "lib/store/file/file_notes.h"
#include "lib/store/file/file_source.h"
#include "lib/store/rbd/ceph_args.h"
#include "lib/store/rbd/ceph_keyring.h"
#include "tests/unit/catch.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/text_file.h"
#include "vmferry/error.h"
#include "vmferry/location.h"
#include "vmferry/rate_file.h"
#include "vmferry/target.h"

namespace vmferry::test {
namespace {

namespace fs = std::filesystem;

RbdLocation rbd(const std::string& text) { return parse_rbd_location(text); }

}  // namespace

TEST_CASE("notes in a file take a bounded memory, whoever wrote them") {
  const TempDir dir;
  const std::string path = dir / "notes";
  const auto read = [&path](size_t most) { return FileNotes(path, most).read(); };
  const std::string text(1000, 'x');
  std::string notes;
  for (int i = 0; i < 200; ++i) {
    notes += (i < 100 ? "same" : std::to_string(i)) + " " + text + "\n";
  }
  write_text(path, notes);
  CHECK(read(FileNotes::kMostBytes).size() == 101);
  CHECK(read(110'000).size() == 101);
  const auto some = read(50'000);
  CHECK(some.size() >= 49);
  CHECK(some.size() <= 51);
  CHECK(some.at("same") == text);
}

TEST_CASE("locations are read as QEMU reads them") {
  CHECK(rbd("rbd:vms/web1").pool == "vms");
  CHECK(rbd("rbd:vms/web1").image == "web1");
  CHECK(rbd("rbd:vms/ns/web1@monday").display() == "rbd:vms/ns/web1@monday");
  const RbdLocation full = rbd("rbd:vms/web1@s:id=libvirt:conf=/path with space:mon_host=a\\:3300");
  CHECK(full.snapshot == "s");
  CHECK(full.options == std::map<std::string, std::string>{{"id", "libvirt"},
                                                           {"conf", "/path with space"},
                                                           {"mon_host", "a:3300"}});
  CHECK(rbd("rbd:p/a\\:b\\@c\\/d").image == "a:b@c/d");
  for (const char* bad : {"rbd:", "rbd:pool", "rbd:/x", "rbd:p/", "rbd:p/a/b/c", "rbd:p/i@",
                          "rbd:p/i:x", "rbd:p//i", "", "file:"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_location(bad), Error);
  }
}

TEST_CASE("what is wrong with a location shows no secret of it") {
  for (const char* bad :
       {"rbd:p/i:key=sekret:x", "rbd:p/i:sekret", "rbd:p/a/b/c:key=sekret", "rbd:p:key=sekret",
        "rbd:/i:key=sekret", "rbd:p/i@:key=sekret", "rbd:p//i:key=sekret",
        "foo://user:sekret@host/disk", "foo://host/disk?token=sekret"}) {
    CAPTURE(bad);
    try {
      parse_location(bad);
      FAIL("it was taken");
    } catch (const Error& error) {
      CHECK(std::string(error.what() + error.hint()).find("sekret") == std::string::npos);
    }
  }
  CHECK_THROWS_WITH(rbd("rbd:p:key=sekret"), Contains("rbd:p:...: does not name a pool"));
  CHECK_THROWS_WITH(rbd("foo://a:sekret@b/c"), Contains("foo://...: does not name an RBD volume"));
  CHECK_THROWS_WITH(rbd("rdb:p/i:key=sekret"), Contains("rdb:p/i:...: does not name an RBD"));
}

TEST_CASE("a volume is named for Ceph's commands with its namespace, and for a shell") {
  const RbdLocation snapshot = {
      .pool = "vms", .name_space = "tests", .image = "web1", .snapshot = "monday"};
  CHECK(snapshot.ceph_name() == "vms/tests/web1@monday");
  CHECK(snapshot.beside("web2").ceph_name() == "vms/tests/web2");
  CHECK(snapshot.beside("").ceph_name() == "vms/tests");
  CHECK(RbdLocation{.pool = "vms", .image = "a b"}.ceph_name() == "'vms/a b'");
  CHECK(RbdLocation{.pool = "vms", .image = "a'b$(c)"}.ceph_name() == R"('vms/a'\''b$(c)')");
  CHECK(RbdLocation{.pool = "vms", .image = "#1"}.ceph_name() == "'vms/#1'");
}

TEST_CASE("CEPH_ARGS names the configuration, the cluster and the user") {
  const CephArgs args = parse_ceph_args("  -c /a.conf --cluster=lab  --debug-ms 1 --id libvirt ");
  CHECK(args.conf == "/a.conf");
  CHECK(args.cluster == "lab");
  CHECK(args.entity == "client.libvirt");
  CHECK(parse_ceph_args("--id a -n client.b").entity == "client.b");
  CHECK(parse_ceph_args("--conf=/a --conf /b").conf == "/b");
  CHECK(parse_ceph_args("-- --id a").entity.empty());
  CHECK(parse_ceph_args("--id").entity.empty());
  CHECK(parse_ceph_args("").conf.empty());
}

TEST_CASE("free descriptors are counted, and the soft limit is raised for them") {
  rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const UniqueFd open(::open("/dev/null", O_RDONLY));
  const auto used = static_cast<rlim_t>(open.get()) + 1;
  rlimit low = {.rlim_cur = used, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  const size_t some = free_descriptors(8);
  rlimit raised = {};
  ::getrlimit(RLIMIT_NOFILE, &raised);
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(some == 8);
  CHECK(raised.rlim_cur >= used + 8);
  CHECK(free_descriptors(1) == 1);
}

TEST_CASE("paths may hold anything but an address") {
  for (const char* path : {"a b.raw", "ü.raw", "a:b.raw", "/x/rbd:y", "./rbd:x/y"}) {
    CHECK(parse_location(path).path() == path);
  }
  CHECK(parse_location("file:/a:b").path() == "/a:b");
  CHECK_THROWS_AS(parse_location("gopher://host/x"), Error);
}

TEST_CASE("a file that is cut while it is read fails with the byte where it ends") {
  TempDir dir;
  const std::string path = dir / "disk";
  write_text(path, std::string(1 << 20, 'x'));
  const FileSource source(UniqueFd(::open(path.c_str(), O_RDWR)), path);
  fs::resize_file(path, 300000);
  std::vector<std::byte> bytes(1 << 20);
  CHECK_THROWS_WITH(source.read_at(0, bytes), Contains("at 300000"));
  CHECK_THROWS_WITH(source.check_still_there(), Contains("300000"));
}

TEST_CASE("what a dead run left of a file goes, and nothing else") {
  TempDir dir;
  const Location target = PathLocation{dir / "disk"};
  const fs::path partial = dir / ".disk.vmferry-partial";
  const fs::path notes = dir / ".disk.vmferry-partial.notes";
  CHECK_NOTHROW(remove_unfinished(target, {}));
  for (const fs::path& path : {fs::path(dir / "disk"), partial, notes}) {
    std::ofstream(path) << "at 12\n";
  }
  fs::create_symlink("disk", dir / "link");
  CHECK(unfinished_notes(PathLocation{dir / "link"}, {}).at("at") == "12");
  {
    const UniqueFd at_work(::open(partial.c_str(), O_RDWR));
    REQUIRE(::flock(at_work.get(), LOCK_EX) == 0);
    CHECK_THROWS_WITH(remove_unfinished(target, {}), Contains("another vmferry"));
    CHECK(fs::exists(notes));
  }
  remove_unfinished(PathLocation{dir / "link"}, {});
  CHECK(!fs::exists(partial));
  CHECK(!fs::exists(notes));
  CHECK(fs::exists(dir / "disk"));
  std::ofstream{notes} << "at 12\n";
  remove_unfinished(target, {});
  CHECK(!fs::exists(notes));
}

TEST_CASE("an image opens files in its own directory only, and only if its format was named") {
  TempDir dir;
  fs::create_directories(dir / "images/below");
  fs::create_directories(dir / "images2");
  for (const char* name : {"images/base", "images/below/base", "images2/base", "outside"}) {
    write_text(dir / name, "x");
  }
  fs::create_symlink(dir / "outside", dir / "images/link");
  const Referrer named = {"top", (dir / "images/top").string(), true};
  const Referrer probed = {"top", (dir / "images/top").string(), false};

  const auto backing = [](const Referrer& referrer, const std::string& name,
                          const OpenPolicy& policy) {
    return resolve_backing(referrer, name, std::nullopt, policy).path;
  };
  CHECK(backing(named, "base", {}) == dir / "images/base");
  CHECK(backing(named, "file:base", {}) == dir / "images/base");
  CHECK(backing(named, "below/base", {}) == dir / "images/below/base");
  CHECK(backing(named, (dir / "images/base").string(), {}) == dir / "images/base");
  CHECK_THROWS_WITH(backing(probed, "base", {}), Contains("only probed"));
  for (const char* outside : {"../outside", "link", "../images2/base", "/etc/passwd"}) {
    CAPTURE(outside);
    CHECK_THROWS_WITH(backing(named, outside, {}), Contains("outside the image's own directory"));
  }
  CHECK_THROWS_WITH(backing(named, "nbd:host:1", {}), Contains("plain files"));
  CHECK_THROWS_WITH(backing(named, "json:{}", {}), Contains("not name a plain file"));
  CHECK_THROWS_WITH(backing(named, "none", {}), Contains("No such file"));

  const OpenPolicy allow = {{(dir / "images2").string()}};
  CHECK(backing(named, "../images2/base", allow) == dir / "images2/base");
  CHECK_THROWS_AS(backing(named, "../outside", allow), Error);
  // A prefix ends where a name ends: images does not allow images2.
  CHECK_THROWS_AS(
      backing({"t", (dir / "t").string(), false}, "images2/base", {{(dir / "images").string()}}),
      Error);

  // A json: name is relative to the current directory, and brings its own format.
  const std::string json =
      R"(json:{"driver":"raw","file.filename":")" + (dir / "images/base").string() + R"("})";
  const Reference base = resolve_backing(named, json, std::nullopt, {});
  CHECK(base.path == dir / "images/base");
  CHECK(base.format == "raw");
  CHECK_THROWS_WITH(resolve_backing(named, json, "qcow2", {}), Contains("its format is 'qcow2'"));
}

TEST_CASE("an image that was only probed opens extents with names made of its own") {
  TempDir dir;
  const Referrer probed = {"top", (dir / "web.1.vmdk").string(), false, "vmdk"};
  const auto extent = [&](const std::string& name, bool no_guest_wrote_it = true) {
    return resolve_extent(probed, name, no_guest_wrote_it, {});
  };
  for (const char* name :
       {"web.1-flat.vmdk", "web.1-s001.vmdk", "web.1-f012.vmdk", "web.1-s1000.vmdk"}) {
    CAPTURE(name);
    write_text(dir / name, "x");
    CHECK(extent(name) == dir / name);
    CHECK_THROWS_WITH(extent(name, false), Contains("only probed"));
  }
  for (const char* name :
       {"other.vmdk", "other-flat.vmdk", "web.1.vmdk", "web.1-flat.raw", "web.1-s01.vmdk",
        "web.1-s0x1.vmdk", "web.1-d001.vmdk", "web.12-flat.vmdk", "web-flat.vmdk", "web.1vmdk",
        "web.1-flat.vmdk.vmdk", "./web.1-flat.vmdk", "WEB.1-flat.vmdk", "web.1-FLAT.vmdk"}) {
    CAPTURE(name);
    write_text(dir / name, "x");
    CHECK_THROWS_WITH(extent(name), Contains("only probed"));
  }
  const Referrer named = {"top", (dir / "web.1.vmdk").string(), true, "vmdk"};
  CHECK(resolve_extent(named, "other.vmdk", true, {}) == dir / "other.vmdk");
}

TEST_CASE("an external data file is opened only where the user allows it") {
  TempDir dir;
  write_text(dir / "data", "x");
  const Referrer named = {"top", (dir / "top").string(), true};
  const Referrer probed = {"top", (dir / "top").string(), false};
  CHECK_THROWS_WITH(resolve_data_file(named, "data", {}), Contains("may not choose"));
  CHECK_THROWS_WITH(resolve_data_file(named, "data", {{(dir / "other").string()}}),
                    Contains("may not choose"));
  CHECK_THROWS_WITH(resolve_data_file(probed, "data", {}), Contains("only probed"));
  const OpenPolicy allow = {{(dir / "data").string()}};
  CHECK(resolve_data_file(named, "data", allow) == dir / "data");
  CHECK(resolve_data_file(named, "file:data", allow) == dir / "data");
  for (const char* name : {"nbd:host:1", "json:{\"filename\":\"data\"}"}) {
    CHECK_THROWS_WITH(resolve_data_file(named, name, allow), Contains("plain files"));
  }
}

TEST_CASE("an image whose chain is known opens that chain and nothing else") {
  TempDir dir;
  for (const char* name : {"base", "other", "base2"}) {
    write_text(dir / name, "x");
  }
  const Referrer named = {"top", (dir / "top").string(), true};
  const OpenPolicy chain = {{(dir / "base").string()}, true};
  CHECK(resolve_backing(named, "base", std::nullopt, chain).path == dir / "base");
  for (const char* other : {"other", "base2"}) {
    CAPTURE(other);
    CHECK_THROWS_WITH(resolve_backing(named, other, std::nullopt, chain),
                      Contains("known to be made of"));
  }
  CHECK_THROWS_WITH(resolve_backing(named, "base", std::nullopt, {{}, true}),
                    Contains("known to be made of"));
}

TEST_CASE("a key is found in a keyring under its user's name only") {
  const std::string keyring =
      "# made by hand\n[client.admin]\n\tkey = AQAdmin==\n\tcaps mon = \"allow *\"\n"
      "[client.libvirt]\r\n  key=AQLibvirt==  ; the guests\r\n\tcaps mon = \"profile rbd\"\n"
      "[client.empty]\n\tkey =\n[client.libvirt2]\nkeys = AQx\n";
  CHECK(find_key(keyring, "client.admin") == "AQAdmin==");
  CHECK(find_key(keyring, "client.libvirt") == "AQLibvirt==");
  for (const char* none : {"client.empty", "client.libvirt2", "client.lib", "admin", ""}) {
    CAPTURE(none);
    CHECK(!find_key(keyring, none));
  }
  CHECK(!find_key("", "client.admin"));
  CHECK(!find_key("key = AQNobody==", "client.admin"));
  CHECK(find_key("[client.a]\nkey = 1\n[client.b]\nkey = 2\n[client.a]\nkey = 3", "client.a") ==
        "3");
}

TEST_CASE("a file holds a rate, and is read again") {
  const TempDir dir;
  const std::string path = (dir / "rate").string();
  CHECK_THROWS_AS(rate_from_file(path, {}), Error);
  for (const char* odd : {"", "fast", "0", "5 M", "10M\n20M\n"}) {
    INFO(odd);
    write_text(path, odd);
    CHECK_THROWS_AS(rate_from_file(path, {}), Error);
  }
  write_text(path, std::string(2000, '1'));
  CHECK_THROWS_AS(rate_from_file(path, {}), Error);

  write_text(path, " 10M\n");
  unsigned warnings = 0;
  const RateNow rate = rate_from_file(path, [&](const std::string&) { ++warnings; });
  CHECK(rate() == 10 << 20);
  const auto later = [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1020));
    return rate();
  };
  write_text(path, "20M");
  CHECK(later() == 20 << 20);
  write_text(path, "nonsense");
  CHECK(later() == 20 << 20);
  fs::remove(path);
  CHECK(later() == 20 << 20);
  CHECK(warnings == 1);
}

}  // namespace vmferry::test
