// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/stat.h>

#include "lib/migrate/sync_state.h"
#include "tests/unit/catch.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/text_file.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

SyncState full_state() {
  SyncState state;
  state.request.domain = "web/1";
  state.request.pool = "vms";
  state.request.user = "libvirt";
  state.request.overlay_max = 77;
  state.uuid = "6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f";
  state.host = {"alpha", "host-alpha"};
  state.original_persistent = "<domain/>";
  SyncedDisk disk;
  disk.dev = "vda";
  disk.original = "/img/a.qcow2";
  disk.image = {.path = "/img/a.qcow2",
                .format = *find_format("qcow2"),
                .backing = {"/img/base"},
                .chain_known = true,
                .identity = "8:1:77"};
  disk.volume = {"vms", "web-vda"};
  disk.volume_identity = "a1b2";
  disk.size = 4096;
  disk.overlay = "/img/a.sync-2";
  disk.overlay_identity = "8:1:78";
  disk.layer = "/img/a.sync-1";
  state.disks = {disk};
  state.stays = {"sda: a cdrom"};
  state.rounds = {{.number = 1, .frozen_at = 1764288000, .changed = 1 << 20, .seconds = 1.5},
                  {.number = 2, .frozen_at = 1764291600, .changed = 4096, .seconds = 0.25}};
  return state;
}

}  // namespace

TEST_CASE("the state of a warm move is what was written", "[migrate][sync]") {
  const TempDir dir;
  const std::string state_dir = dir / "";
  const SyncState state = full_state();
  CHECK_FALSE(read_sync_state("web/1", state_dir));
  migrate::write_sync_state(state, state_dir);
  const auto read = read_sync_state("web/1", state_dir);
  REQUIRE(read);
  CHECK(read->request.domain == state.request.domain);
  CHECK(read->request.user == state.request.user);
  CHECK(read->request.overlay_max == state.request.overlay_max);
  CHECK(read->uuid == state.uuid);
  CHECK(read->host.hostname == state.host.hostname);
  CHECK(read->original_persistent == state.original_persistent);
  REQUIRE(read->disks.size() == 1);
  const SyncedDisk& disk = read->disks.front();
  CHECK(disk.original == "/img/a.qcow2");
  CHECK(disk.image.path == "/img/a.qcow2");
  CHECK(disk.image.format == *find_format("qcow2"));
  CHECK(disk.image.backing == std::vector<std::string>{"/img/base"});
  CHECK(disk.image.identity == "8:1:77");
  CHECK(disk.volume == VolumeName{"vms", "web-vda"});
  CHECK(disk.volume_identity == "a1b2");
  CHECK(disk.size == 4096);
  CHECK(disk.overlay == "/img/a.sync-2");
  CHECK(disk.overlay_identity == "8:1:78");
  CHECK(disk.layer == "/img/a.sync-1");
  CHECK(read->stays == state.stays);
  REQUIRE(read->rounds.size() == 2);
  CHECK(read->last().number == 2);
  CHECK(read->last().frozen_at == 1764291600);
  CHECK(read->last().changed == 4096);
  CHECK(read->last().seconds == 0.25);
  struct stat status;
  REQUIRE(::stat(sync_state_path("web/1", state_dir).c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  migrate::remove_sync_state("web/1", state_dir);
  migrate::remove_sync_state("web/1", state_dir);
  CHECK_FALSE(read_sync_state("web/1", state_dir));
}

TEST_CASE("a state of a warm move that makes no sense is refused", "[migrate][sync]") {
  const TempDir dir;
  const std::string state_dir = dir / "";
  migrate::write_sync_state(full_state(), state_dir);
  const std::string path = sync_state_path("web/1", state_dir);
  const std::string good = read_text(path);
  const auto is_refused = [&](const std::string& text) {
    write_text(path, text);
    try {
      read_sync_state("web/1", state_dir);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kCorrupt;
    }
    return false;
  };
  const auto with = [&](const std::string& old, const std::string& fresh) {
    std::string text = good;
    text.replace(text.find(old), old.size(), fresh);
    return text;
  };
  CHECK(is_refused(""));
  CHECK(is_refused("[]"));
  CHECK(is_refused(good.substr(0, good.size() / 2)));
  CHECK(is_refused(with("\"format\": 1", "\"format\": 2")));
  CHECK(is_refused(with("\"rounds\"", "\"others\"")));
  CHECK(is_refused(with("\"size\": 4096", "\"size\": \"much\"")));
  CHECK_FALSE(is_refused(good));
}

}  // namespace vmferry::test
