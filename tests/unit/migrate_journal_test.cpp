// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "lib/migrate/journal.h"
#include "lib/migrate/journal_json.h"
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/text_file.h"
#include "vmferry/error.h"
#include "vmferry/sync.h"

namespace vmferry::test {
namespace {

namespace fs = std::filesystem;
using migrate::Journal;
using migrate::recover_command;
using migrate::StepStatus;

/// With something in every member that a recovery needs.
Plan full_plan(const std::string& domain = "web1") {
  Plan plan;
  MigrateRequest& request = plan.request;
  request.domain = domain;
  request.from = "qemu:///system";
  request.to = "qemu+ssh://other/system";
  request.pool = "vms";
  request.disks = {{"vda", {"vms", "a"}}, {"vdb", {"ssd", "b \"quoted\" ü"}}};
  request.mode = MigrateMode::kLive;
  request.method = MigrateMethod::kMirror;
  request.monitors = {{"::1", 3300}};
  request.ceph_conf = "/etc/ceph/ceph.conf";
  request.user = "libvirt";
  request.secret.usage = "client.libvirt secret";
  request.keyring = "/etc/ceph/libvirt.keyring";
  request.cluster = "remote";
  request.old_cluster =
      CephOptions{.conf = "/etc/ceph/old.conf", .id = "reader", .keyring = "/k", .cluster = {}};
  request.layout = {.object_size = 1 << 20,
                    .stripe_unit = {},
                    .stripe_count = 4,
                    .data_pool = "ec",
                    .features = {"layering"}};
  request.file_layout = {.format = *find_format("qcow2"),
                         .compression = "zstd",
                         .compression_level = 3,
                         .cluster_size = 1 << 17};
  request.allow_files = {"/bases"};
  request.snapshots = true;
  request.chain_as_snapshots = true;
  request.bases = {{"vda", "rbd:vms/golden@v1"}};
  request.overlay_max = 12345;
  request.bandwidth = uint64_t{1} << 40;
  request.timeout = std::chrono::seconds(77);
  request.delete_source = true;
  plan.uuid = "6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f";
  plan.method = CopyMethod::kMirrored;
  plan.was_running = plan.autostart = true;
  plan.original_persistent = "<domain>\n  <name>a &amp; b</name>\n</domain>\n";
  MovingDisk disk;
  disk.dev = "vda";
  disk.original = "/img/a.qcow2";
  disk.image = {.path = "/img/a.qcow2",
                .format = *find_format("qcow2"),
                .backing = {"/img/b"},
                .identity = "file 8:1"};
  disk.image.allowed = {"/bases"};
  disk.image.with_snapshots = true;
  disk.image.with_layers = true;
  disk.image.layer_names = {{"/img/base.raw", "before"}};
  disk.image.volume =
      RbdLocation{.pool = "old", .image = "v", .options = {{"mon_host", "[::1]:3300"}}};
  disk.volume = {"vms", "a"};
  disk.size = 4297064448;
  disk.overlay = "/img/overlay";
  disk.bridge = "/img/bridge";
  plan.disks = {disk};
  plan.stays = {"sda: it is a cdrom"};
  plan.steps = {{"create-volumes", "create", "remove", ""},
                {"migrate-mirrored", "migrate", "abort", "when that is done, only forward"}};
  return plan;
}

std::string text_of(const Plan& plan) { return nlohmann::json(plan).dump(); }

/// Nothing: it opened.
std::optional<ErrorKind> failure_to_open(const std::string& dir) {
  try {
    Journal::open("web1", dir);
    return std::nullopt;
  } catch (const Error& error) {
    return error.kind();
  }
}

}  // namespace

TEST_CASE("a journal brings back what was written", "[migrate]") {
  TempDir dir;
  const std::string state = (dir / "state").string();
  const Plan plan = full_plan();
  {
    Journal journal = Journal::begin(plan, state);
    journal.set_status(0, StepStatus::kDone);
    journal.set_status(1, StepStatus::kBegun);
    journal.note("made:vda");
    journal.note("other");
    journal.forget("other");
  }
  CHECK(text_of(plan).find("12345") != std::string::npos);
  Journal again = Journal::open("web1", state);
  CHECK(text_of(again.plan()) == text_of(plan));
  CHECK(again.status(0) == StepStatus::kDone);
  CHECK(again.status(1) == StepStatus::kBegun);
  CHECK(again.noted("made:vda"));
  CHECK_FALSE(again.noted("other"));
  CHECK(Journal::read_plan("web1", state).request.to == plan.request.to);
  CHECK(Journal::read_plan("web1", state).request.keyring == plan.request.keyring);
  CHECK(Journal::read_plan("web1", state).request.layout == plan.request.layout);
  CHECK(text_of(plan).find(R"("mon_host":"[::1]:3300")") != std::string::npos);
  CHECK(text_of(plan).find(R"("id":"reader")") != std::string::npos);
  CHECK(Journal::read_plan("web1", state).request.snapshots);
  CHECK(Journal::read_plan("web1", state).request.file_layout == plan.request.file_layout);
  again.remove();
  CHECK(failure_to_open(state) == ErrorKind::kNotFound);
  CHECK(fs::is_empty(state));
}

TEST_CASE("a journal says the way, and is read again", "[migrate]") {
  const nlohmann::json written = full_plan();
  CHECK(written.at("live") == true);
  CHECK(written.at("staged") == false);
  for (const CopyMethod method :
       {CopyMethod::kOffline, CopyMethod::kStaged, CopyMethod::kMirrored}) {
    Plan plan = full_plan();
    plan.method = method;
    CHECK(nlohmann::json(plan).get<Plan>().method == method);
  }
}

TEST_CASE("the request of a recovery does not turn the move", "[migrate]") {
  TempDir dir;
  const auto recovered = [&dir](const Plan& plan, const MigrateRequest& request) {
    Journal journal = Journal::begin(plan, (dir / "state").string());
    journal.change_request(request);
    journal.remove();
    return journal.plan().request;
  };
  MigrateRequest request;
  request.bandwidth = 5;
  request.to_dir = "/back";
  Plan plan = full_plan();
  CHECK(recovered(plan, request).to == plan.request.to);
  CHECK(recovered(plan, request).bandwidth == 5);
  CHECK_FALSE(recovered(plan, request).to_files());
  CHECK(recovered(plan, request).file_layout == plan.request.file_layout);
  request.to = "qemu+ssh://same-host-by-another-name/system";
  CHECK(recovered(plan, request).to == request.to);
  plan.request.to.clear();
  CHECK_FALSE(recovered(plan, request).to_other_host());
}

TEST_CASE("a journal that would lose a byte of a name is not begun", "[migrate]") {
  TempDir dir;
  const std::string state = (dir / "state").string();
  Plan plan = full_plan();
  plan.request.ceph_conf = "/etc/caf\xe9.conf";
  try {
    Journal::begin(plan, state);
    FAIL("it was written");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUnsupported);
    CHECK(std::string(error.what()).find("is not UTF-8") != std::string::npos);
  }
  CHECK(fs::is_empty(state));
}

TEST_CASE("a journal is for its owner only", "[migrate]") {
  TempDir dir;
  const Journal journal = Journal::begin(full_plan(), (dir / "state").string());
  struct stat status;
  REQUIRE(::stat((dir / "state/web1.json").string().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("two runs do not work on one domain", "[migrate]") {
  TempDir dir;
  const std::string state = (dir / "state").string();
  {
    const Journal first = Journal::begin(full_plan(), state);
    CHECK_THROWS_WITH(Journal::begin(full_plan(), state), Contains("is migrating this domain"));
    CHECK_THROWS_WITH(Journal::open("web1", state), Contains("is migrating this domain"));
    const Journal other = Journal::begin(full_plan("web2"), state);
  }
  // The first one was killed.
  try {
    Journal::begin(full_plan(), state);
    FAIL("a journal was written over");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConflict);
    CHECK(error.hint() ==
          "end that one first: vmferry migrate --recover web1 --state-dir " + state);
  }
  CHECK(failure_to_open(state) == std::nullopt);
}

TEST_CASE("the command that recovers can be copied into a shell", "[migrate]") {
  const std::string dir = default_state_dir();
  CHECK(recover_command(RunKind::kMove, "web1", dir) == "vmferry migrate --recover web1");
  CHECK(recover_command(RunKind::kSync, "web1", dir) == "vmferry sync --recover web1");
  CHECK(recover_command(RunKind::kStop, "web1", dir) == "vmferry sync --recover web1");
  CHECK(recover_command(RunKind::kCutover, "web1", dir, "--undo") ==
        "vmferry cutover --recover --undo web1");
  CHECK(recover_command(RunKind::kMove, "it's 1", "/a b") ==
        "vmferry migrate --recover 'it'\\''s 1' --state-dir '/a b'");
}

TEST_CASE("a run that did not end is told by its kind", "[migrate][sync]") {
  const auto [kind, cause, command] = GENERATE(table<RunKind, std::string, std::string>({
      {RunKind::kMove, "an earlier run did not end", "migrate"},
      {RunKind::kSync, "a sync of it did not end", "sync"},
      {RunKind::kCutover, "a cutover of it did not end", "cutover"},
      {RunKind::kStop, "its warm move was being given up, and that did not end", "sync"},
  }));
  TempDir dir;
  const std::string state = (dir / "state").string();
  require_ended("web1", state);
  CHECK_FALSE(std::filesystem::exists(state));
  Plan plan = full_plan();
  plan.kind = kind;
  {
    const Journal journal = Journal::begin(plan, state);
    CHECK_THROWS_WITH(require_ended("web1", state), Contains("another vmferry is "));
  }
  CHECK(unended_kind("web1", state) == kind);
  try {
    require_ended("web1", state);
    FAIL("nothing was said");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConflict);
    CHECK_THAT(error.what(), Contains(cause + "; its journal is " + state));
    CHECK(error.hint() ==
          "end that one first: vmferry " + command + " --recover web1 --state-dir " + state);
  }
}

TEST_CASE("no domain name leaves the state directory", "[migrate]") {
  TempDir dir;
  const std::string state = (dir / "state").string();
  const std::vector<std::string> names = {"../x",  "a b:ü", ".",      "..", ".hidden", "a/b",
                                          "a%2fb", "a",     "a.json", "%",  "\n",      "-rf"};
  for (const std::string& name : names) {
    INFO(name);
    Journal journal = Journal::begin(full_plan(name), state);
    const fs::path kept = journal.keep("source", "<domain/>");
    CHECK(kept.parent_path() == fs::path(state));
    CHECK(Journal::read_plan(name, state).request.domain == name);
  }
  std::set<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir / "")) {
    if (entry.is_regular_file()) {
      files.insert(entry.path().parent_path().string());
    }
  }
  CHECK(files == std::set<std::string>{state});
  for (const std::string& name : names) {
    Journal::open(name, state).remove();
  }
}

// Each way's journal, as written when steps and states were numbers.
TEST_CASE("journals of format 1 are read", "[migrate]") {
  std::ifstream journals(VMFERRY_JOURNALS);
  size_t count = 0;
  for (std::string line; std::getline(journals, line); ++count) {
    const auto entry = nlohmann::json::parse(line);
    const std::string way = entry.at("way");
    INFO(way);
    TempDir dir;
    write_text(dir / "web1.json", entry.at("journal").dump());
    const Journal old = Journal::open("web1", dir / "");
    CHECK(text_of(old.plan()) == text_of(Rig(way_named(way)).plan_of_way()));
    CHECK(old.status(0) == StepStatus::kPending);
  }
  CHECK(count == 13);  // as many ways as there were then
}

TEST_CASE("states of format 1 are read, and unknown ones named", "[migrate]") {
  TempDir dir;
  const auto opened = [&](const std::string& status) {
    write_text(dir / "web1.json",
               R"({"format": 1, "plan": {"steps": [{"kind": 1}, {"kind": 4}]}, "notes": [],)"
               R"("status": [)" +
                   status + "]}");
    return Journal::open("web1", dir / "");
  };
  CHECK(opened("3, 2").status(0) == StepStatus::kUndone);
  CHECK(opened("3, 2").status(1) == StepStatus::kDone);
  CHECK(opened("1").status(0) == StepStatus::kBegun);
  CHECK_THROWS_WITH(opened("4"), Contains("this version of vmferry does not know: 4"));
}

TEST_CASE("a journal of format 1 is written on with names", "[migrate]") {
  TempDir dir;
  std::ifstream journals(VMFERRY_JOURNALS);
  std::string line;
  std::getline(journals, line);
  write_text(dir / "web1.json", nlohmann::json::parse(line).at("journal").dump());
  Journal::open("web1", dir / "").set_status(1, StepStatus::kBegun);
  const Journal again = Journal::open("web1", dir / "");
  CHECK(again.status(1) == StepStatus::kBegun);
  const auto written = nlohmann::json::parse(read_text(dir / "web1.json"));
  CHECK(written.at("format") == 2);
  CHECK(written.at("plan").at("steps").at(0).at("name") == "snapshot");
}

TEST_CASE("a damaged journal is an error, and none is another", "[migrate][alone]") {
  TempDir dir;
  const std::string state = (dir / "state").string();
  CHECK(failure_to_open(state) == ErrorKind::kNotFound);
  Journal::begin(full_plan(), state);
  const std::string path = (dir / "state/web1.json").string();
  const std::string whole = read_text(path);
  for (size_t length = 0; length + 1 < whole.size(); length += 7) {
    INFO("cut at " << length);
    write_text(path, whole.substr(0, length));
    CHECK(failure_to_open(state) == ErrorKind::kCorrupt);
  }
  for (
      const char* text :
      {"[]",
       "null",
       "{}",
       R"({"format": "1"})",
       R"({"format": 3})",
       R"({"format": 1})",
       R"({"format": 1, "plan": 7, "status": [], "notes": []})",
       R"({"format": 1, "plan": {"disks": {}}, "status": [], "notes": []})",
       R"({"format": 1, "plan": {"steps": [{"kind": 99}]}, "status": [], "notes": []})",
       R"({"format": 1, "plan": {"steps": [{"kind": -1}]}, "status": [], "notes": []})",
       R"({"format": 1, "plan": {"steps": [{"kind": 2.5}]}, "status": [], "notes": []})",
       R"({"format": 1, "plan": {"steps": [{"kind": 1e300}]}, "status": [], "notes": []})",
       R"({"format": 1, "plan": {"steps": [{"kind": true}]}, "status": [], "notes": []})",
       R"({"format": 2, "plan": {"steps": [{"name": "dance"}]}, "status": [], "notes": []})",
       R"({"format": 2, "plan": {"steps": [{"name": ""}]}, "status": [], "notes": []})",
       R"({"format": 2, "plan": {"disks": [{"image": {"format": "dmg"}}]}, "status": [], "notes": []})",
       R"({"format": 1, "plan": {"request": {"mode": -1}}, "status": [], "notes": []})",
       R"({"format": 1, "plan": {}, "status": [9], "notes": []})",
       R"({"format": 1, "plan": {}, "status": "x", "notes": {}})",
       "\xff\xfe"}) {
    INFO(text);
    write_text(path, text);
    CHECK(failure_to_open(state) == ErrorKind::kCorrupt);
  }
  for (size_t at = 0; at < whole.size(); at += 3) {
    INFO("changed at " << at);
    std::string text = whole;
    text[at] = text[at] == '"' ? ',' : '"';
    write_text(path, text);
    const std::optional<ErrorKind> failure = failure_to_open(state);
    CHECK((!failure || failure == ErrorKind::kCorrupt));
  }
}

}  // namespace vmferry::test
