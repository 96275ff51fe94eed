// SPDX-License-Identifier: LGPL-2.1-or-later
#include <nlohmann/json.hpp>

#include "lib/libvirt/live_disk.h"
#include "lib/libvirt/monitor.h"
#include "tests/unit/catch.h"
#include "vmferry/error.h"

// What is said to QEMU's monitor, and what is made of its answers.

namespace vmferry::test {
namespace {

using nlohmann::json;

constexpr const char* kLive = R"(<domain id='3'><devices>
<disk type='file' device='cdrom'><driver name='qemu'/><target dev='sda'/></disk>
<disk type='network'><driver name='qemu' type='raw'/><source protocol='rbd' name='p/i' index='4'/>
<target dev='vda'/></disk>
<disk type='file'><driver name='qemu' discard='ignore'/><source file='/i' index='1'/>
<target dev='vdb'/></disk></devices></domain>)";

std::string nodes(const std::string& drv) {
  const json cache = {{"writeback", true}, {"direct", true}, {"no-flush", false}};
  const json format = {{"node-name", "libvirt-4-format"},
                       {"drv", drv},
                       {"ro", false},
                       {"cache", cache},
                       {"detect_zeroes", "on"}};
  const json storage = {{"node-name", "libvirt-4-storage"}, {"drv", "rbd"}};
  return json{{"return", {storage, format}}}.dump();
}

}  // namespace

TEST_CASE("the node of a disk is read from the live definition") {
  CHECK(libvirt::live_image(kLive, "vda").index == "4");
  CHECK(libvirt::live_image(kLive, "vda").discard.empty());
  CHECK(libvirt::live_image(kLive, "vdb").discard == "ignore");
  CHECK_THROWS_AS(libvirt::live_image(kLive, "sda"), Error);  // no node is told
  CHECK_THROWS_AS(libvirt::live_image(kLive, "vdc"), Error);
  CHECK_THROWS_AS(libvirt::live_image("no definition", "vda"), Error);
}

TEST_CASE("a node is opened anew with all that it had, and discards") {
  json expected = json::parse(R"([{"driver": "raw",
      "node-name": "libvirt-4-format", "file": "libvirt-4-storage", "read-only": false,
      "cache": {"direct": true, "no-flush": false}, "detect-zeroes": "on", "discard": "unmap"}])");
  for (const char* format : {"raw", "qcow2"}) {
    const json command = json::parse(libvirt::reopen_with_discard(nodes(format), "4"));
    expected[0]["driver"] = format;
    CHECK(command["execute"] == "blockdev-reopen");
    CHECK(command["arguments"]["options"] == expected);
  }
  CHECK_THROWS_AS(libvirt::reopen_with_discard(nodes("luks"), "4"), Error);
  CHECK_THROWS_AS(libvirt::reopen_with_discard(nodes("raw"), "5"), Error);
  CHECK_THROWS_AS(libvirt::reopen_with_discard("nonsense", "4"), Error);
}

TEST_CASE("nodes of a volume are removed from above") {
  const auto node = [](const std::string& name, const std::string& drv, const std::string& file) {
    return json{{"node-name", name}, {"drv", drv}, {"file", file}};
  };
  const std::string rbd = R"({"driver": "rbd", "pool": "p", "image": "i", "conf": "/c"})";
  const std::string other = R"(json:{"driver": "rbd", "pool": "p", "image": "j"})";
  const std::string answer =
      json{{"return",
            {node("storage", "rbd", "json:" + rbd), node("other", "rbd", other),
             node("format", "raw", R"(json:{"driver": "raw", "file": )" + rbd + "}"),
             node("file", "file", "/img/a"), node("odd", "raw", "json:nonsense")}}}
          .dump();
  std::string removed;
  for (const std::string& command : libvirt::commands_to_forget(answer, "p", "i")) {
    CHECK(json::parse(command)["execute"] == "blockdev-del");
    removed += json::parse(command)["arguments"]["node-name"].get<std::string>() + " ";
  }
  CHECK(removed == "format storage ");
  CHECK(libvirt::commands_to_forget(answer, "p", "k").empty());
  CHECK_THROWS_AS(libvirt::commands_to_forget("nonsense", "p", "i"), Error);
}

TEST_CASE("the run state is QEMU's own word") {
  CHECK(libvirt::run_state(R"({"return":{"status":"prelaunch","running":false}})") == "prelaunch");
  CHECK_THROWS_AS(libvirt::run_state(R"({"return":{}})"), Error);
  CHECK_THROWS_AS(libvirt::run_state(R"({"error":{"desc":"gone"}})"), Error);
}

TEST_CASE("a copy's job is known by where it goes") {
  const auto facts = [](const std::string& mirror) {
    return libvirt::mirror_facts(
        "<domain><devices><disk><target dev='vda'/>" + mirror + "</disk></devices></domain>",
        "vda");
  };
  CHECK(facts("<mirror type='file' ready='yes'><source file='/a b'/></mirror>").target == "/a b");
  CHECK(facts("<mirror ready='yes'><source protocol='rbd' name='p/i'/></mirror>").target == "p/i");
  CHECK(facts("<mirror ready='yes'/>").ready);
  CHECK_FALSE(facts("<mirror><source dev='/dev/x'/></mirror>").ready);
  CHECK(facts("").target.empty());
  CHECK(libvirt::mirror_facts("nonsense", "vda").target.empty());
}

TEST_CASE("an error of the monitor is one of ours, with its reason") {
  CHECK_NOTHROW(libvirt::check_answer(R"({"return":{}})"));
  CHECK_THROWS_WITH(
      libvirt::check_answer(R"({"error":{"class":"GenericError","desc":"no such node"}})"),
      Contains("no such node"));
  CHECK_THROWS_AS(libvirt::check_answer("nonsense"), Error);
}

}  // namespace vmferry::test
