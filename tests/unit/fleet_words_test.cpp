// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string>

#include "lib/fleet/job_words.h"
#include "lib/fleet/migrate_run.h"
#include "lib/fleet/sparsify_run.h"
#include "lib/fleet/window.h"
#include "tests/unit/catch.h"
#include "tests/unit/fleet_model.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

fleet::JobOrder order_to(const std::string& uri) {
  fleet::JobOrder order;
  order.plan = model_plan(1, 1);
  order.plan.jobs.front().to = uri;
  return order;
}

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) {
    all += (all.empty() ? "" : " ") + word;
  }
  return all;
}

}  // namespace

TEST_CASE("what a plan says of a guest becomes options of migrate", "[fleet]") {
  fleet::JobOrder order = order_to("qemu+ssh://h2/system?no_tty=1");
  order.bandwidth = 1000;
  order.plan.ceph = {.id = "vms",
                     .monitors = {{.host = "::1", .port = 6789}},
                     .secret = {},
                     .define_secret = true,
                     .data_pool = "ec"};
  order.plan.jobs.front().name = "-g1";
  order.plan.jobs.front().disks.front().base = "rbd:vms/golden@v1";
  fleet::MigrateTerms terms;
  terms.state_dir = "/state";
  terms.connect = "qemu:///system";
  CHECK(joined(fleet::migrate_arguments(order, terms)) ==
        "migrate --json --progress=json --state-dir=/state --connect=qemu:///system --id=vms "
        "--rate-limit-file=/state/-g1.rate --uuid=00000000-0000-4000-8000-100000000000 "
        "--mode=offline --no-shutdown --to=qemu+ssh://h2/system?no_tty=1 "
        "--disk=vda=rbd:vms/g1-vda --base=vda=rbd:vms/golden@v1 --monitor=[::1]:6789 "
        "--secret-usage=client.vms secret --define-secret --data-pool=ec -- -g1");
  CHECK(joined(fleet::recover_arguments(order, terms, "--undo")) ==
        "migrate --json --progress=json --state-dir=/state --connect=qemu:///system --id=vms "
        "--rate-limit-file=/state/-g1.rate --recover --undo -- -g1");
}

TEST_CASE("a warm move is a sync, and then a cutover or its end", "[fleet]") {
  fleet::JobOrder order = order_to("");
  FleetJob& job = order.plan.jobs.front();
  job.way = MigrateMode::kLive;
  job.warm = true;
  order.plan.ceph.data_pool = "ec";
  order.plan = read_plan(write_plan(order.plan), "plan");
  fleet::MigrateTerms terms;
  terms.state_dir = "/state";
  CHECK(joined(fleet::sync_arguments(order, terms)) ==
        "sync --json --progress=json --state-dir=/state "
        "--uuid=00000000-0000-4000-8000-100000000000 --disk=vda=rbd:vms/g1-vda --data-pool=ec -- "
        "g1");
  CHECK(joined(fleet::cutover_arguments(order, terms)) ==
        "cutover --json --progress=json --state-dir=/state -- g1");
  const std::string here = joined(fleet::sync_arguments(order, terms));
  order.plan.jobs.front().to = "qemu+ssh://h2/system";
  CHECK(joined(fleet::sync_arguments(order, terms)) == here);
  CHECK(joined(fleet::cutover_arguments(order, terms)) ==
        "cutover --json --progress=json --state-dir=/state --to=qemu+ssh://h2/system -- g1");
  CHECK(joined(fleet::give_up_arguments(order, terms)) ==
        "sync --json --progress=json --state-dir=/state --stop --remove-volumes -- g1");
}

TEST_CASE("a worker refuses a URI that may name a command", "[fleet]") {
  for (const char* uri : {"qemu+ssh://h2/system?command=/tmp/x", "qemu+ext:///system",
                          "qemu+ssh://h2/system?socket=/a&netcat=/tmp/x", "xen:///", "/tmp/x",
                          "qemu+ssh://h2/system?no_tty=1;command=/tmp/x"}) {
    INFO(uri);
    CHECK_THROWS_AS(fleet::migrate_arguments(order_to(uri), {}), Error);
    CHECK_THROWS_AS(fleet::sync_arguments(order_to(uri), {}), Error);
    CHECK_THROWS_AS(fleet::cutover_arguments(order_to(uri), {}), Error);
  }
  CHECK_NOTHROW(fleet::migrate_arguments(order_to("qemu+tls://h2/system"), {}));
}

TEST_CASE("a job's child tells its phase, and why it failed", "[fleet]") {
  fleet::JobWords words;
  CHECK(!words.has_begun());
  words.add("{\"step\":\"copy the image\"}");
  CHECK(words.news()->phase == "copy the image");
  words.add("{\"phase\":\"copy\",\"data_done_bytes\":5,\"data_total_bytes\":9}");
  CHECK(words.news()->done == 5);
  CHECK(words.news()->total == 9);
  words.add("{\"phase\":7}");
  words.add("{no json");
  words.add("vmferry: warning: something small");
  CHECK(words.error(1) == "it ended with status 1");
  words.add("vmferry: domain g1: migrate: no room");
  words.add("hint: make some");
  CHECK(words.error(1) == "domain g1: migrate: no room");
  CHECK(words.hint() == "make some");
  words.add("  FAILED   room: 3 bytes are missing");
  CHECK(words.error(1) == "a check failed: room: 3 bytes are missing");
}

TEST_CASE("moves begin within the hours of a plan", "[fleet]") {
  const std::vector<FleetWindow> night = {{.from = 1320, .to = 360}, {.from = 720, .to = 780}};
  CHECK(fleet::is_open({}, 0));
  CHECK(fleet::is_open(night, 1320));
  CHECK(fleet::is_open(night, 359));
  CHECK(fleet::is_open(night, 779));
  CHECK(!fleet::is_open(night, 360));
  CHECK(!fleet::is_open(night, 780));
  CHECK(fleet::text_of(night) == "22:00-06:00, 12:00-13:00");
}

TEST_CASE("a guest whose volumes are there is only rewritten", "[fleet]") {
  fleet::JobOrder order = order_to("");
  order.bandwidth = 1000;
  order.plan.jobs.front().rewrite_only = true;
  order.plan = read_plan(write_plan(order.plan), "plan");
  CHECK(joined(fleet::migrate_arguments(order, {})) ==
        "migrate --json --progress=json --uuid=00000000-0000-4000-8000-100000000000 "
        "--mode=offline --rewrite-only --no-shutdown --disk=vda=rbd:vms/g1-vda -- g1");
  order.plan.jobs.front().way = MigrateMode::kLive;
  CHECK_THROWS_WITH(read_plan(write_plan(order.plan), "p"), Contains("needs way = \"offline\""));
}

TEST_CASE("a guest may be shut down, and take its snapshots along, if its plan says so",
          "[fleet]") {
  fleet::JobOrder order = order_to("");
  FleetJob& job = order.plan.jobs.front();
  job.shut_down = job.snapshots = true;
  order.plan = read_plan(write_plan(order.plan), "plan");
  CHECK(joined(fleet::migrate_arguments(order, {})) ==
        "migrate --json --progress=json --uuid=00000000-0000-4000-8000-100000000000 "
        "--mode=offline --snapshots --disk=vda=rbd:vms/g1-vda -- g1");
}

TEST_CASE("a volume of a plan is sparsified in place", "[fleet]") {
  const FleetPlan plan = read_plan(
      "format = 1\npool = \"vms\"\n[ceph]\nid = \"vms\"\n[[volume]]\nimage = "
      "\"rbd:vms/a\"\nhost = \"h1\"\nwave = 2\n",
      "plan");
  REQUIRE(plan.jobs.size() == 1);
  CHECK(plan.jobs[0].task == FleetTask::kSparsify);
  CHECK(plan.jobs[0].name == "rbd:vms/a");
  CHECK(plan.jobs[0].wave == 2);
  CHECK(write_plan(read_plan(write_plan(plan), "plan")) == write_plan(plan));
  fleet::JobOrder order;
  order.plan = plan;
  order.bandwidth = 1000;
  fleet::MigrateTerms terms;
  terms.state_dir = "/state";
  terms.connect = "qemu:///system";
  terms.ceph.conf = "/ceph.conf";
  CHECK(joined(fleet::sparsify_arguments(order, terms)) ==
        "sparsify --in-place --json --progress=json --ceph-conf=/ceph.conf --id=vms -- rbd:vms/a");
}

TEST_CASE("a plan's volumes are refused by line, as its guests are", "[fleet]") {
  const std::string head = "format = 1\npool = \"vms\"\n";
  const auto refused = [&](const std::string& text, const std::string& what) {
    INFO(text);
    CHECK_THROWS_WITH(read_plan(head + text, "p"), Contains(what));
  };
  refused("[[volume]]\nimage = \"rbd:vms/a\"\n", "p:3");
  refused("[[volume]]\nhost = \"h1\"\n", "p:3");
  refused("[[volume]]\nhost = \"h1\"\nimage = \"rbd:vms/a@s\"\n", "p:5");
  refused("[[volume]]\nhost = \"h1\"\nimage = \"/img/a\"\n", "p:5");
  refused("[[volume]]\nhost = \"h1\"\nimage = \"rbd:vms/a\"\nway = \"live\"\n", "p:6");
  const std::string one = "[[volume]]\nhost = \"h1\"\nimage = \"rbd:vms/a\"\n";
  refused(one + one, "p:8: rbd:vms/a is in the plan already, in line 5");
  refused("", "nothing to do");
}

}  // namespace vmferry::test
