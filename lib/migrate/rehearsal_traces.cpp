// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/rehearsal_traces.h"

#include <filesystem>

#include "lib/core/counted.h"
#include "lib/migrate/check_list.h"
#include "lib/migrate/journal.h"
#include "vmferry/error.h"

namespace vmferry::migrate {
namespace {

constexpr const char* kCheck = "rehearsal";
constexpr const char* kWait = "wait for it, or end it with Ctrl-C";

std::string cleaning(const std::string& domain, const std::string& state_dir) {
  return warm_command("rehearse --clean", domain, state_dir);
}

class CloneLooker : private CheckList {
 public:
  CloneLooker(const SyncState& state, const MigrateContext& context)
      : state_(state), context_(context) {}

  std::vector<Check> look() {
    for (const SyncedDisk& disk : state_.disks) {
      try {
        look_at(disk);
      } catch (const Error& error) {
        fail("volume " + disk.volume.display(), error.what(), error.hint());
      }
    }
    return take();
  }

 private:
  void look_at(const SyncedDisk& disk) {
    MigrationStorage& storage = *context_.storage;
    if (storage.identity(disk.volume) != disk.volume_identity) {
      return;  // it is gone, or another one, which stays
    }
    const std::vector<VolumeClone> clones = storage.clones(disk.volume);
    if (clones.empty()) {
      return;
    }
    const std::string others =
        clones.size() == 1 ? "" : " and " + counted(clones.size() - 1, "other");
    fail("volume " + disk.volume.display(),
         clones.front().name + others + " need" + (others.empty() ? "s" : "") +
             " its data, as clones of its snapshots",
         "a clone of a rehearsal that was killed: " +
             cleaning(state_.request.domain, context_.state_dir) + "; else remove it, or " +
             clones.front().remedy);
  }

  const SyncState& state_;
  const MigrateContext& context_;
};

}  // namespace

std::string rehearsal_record(const std::string& domain, const std::string& state_dir) {
  return (std::filesystem::path(state_dir) / (state_file_name(domain) + ".rehearsal")).string();
}

std::string rehearsal_lock(const std::string& domain, const std::string& state_dir) {
  return rehearsal_record(domain, state_dir) + ".lock";
}

RehearsalTrace find_rehearsal(const std::string& domain, const std::string& state_dir) {
  if (is_locked(rehearsal_lock(domain, state_dir))) {
    return RehearsalTrace::kRuns;
  }
  std::error_code unknown;
  return std::filesystem::exists(rehearsal_record(domain, state_dir), unknown)
             ? RehearsalTrace::kLeft
             : RehearsalTrace::kNone;
}

std::vector<Check> check_may_remove(const SyncState& state, const MigrateContext& context) {
  const std::string& domain = state.request.domain;
  CheckList checks;
  switch (find_rehearsal(domain, context.state_dir)) {
    case RehearsalTrace::kRuns:
      checks.fail(kCheck, "a rehearsal of it runs, and needs the volumes", kWait);
      return checks.take();
    case RehearsalTrace::kLeft:
      checks.fail(kCheck, "a rehearsal of it was killed, and left clones that need the volumes",
                  "remove these: " + cleaning(domain, context.state_dir));
      return checks.take();
    case RehearsalTrace::kNone:
      break;
  }
  return CloneLooker(state, context).look();
}

std::vector<Check> check_rehearsed(const std::string& domain, const std::string& state_dir) {
  CheckList checks;
  switch (find_rehearsal(domain, state_dir)) {
    case RehearsalTrace::kRuns:
      checks.warn(kCheck,
                  "a rehearsal of it runs; the snapshot that it reads is kept in Ceph's trash "
                  "until that ends",
                  kWait);
      break;
    case RehearsalTrace::kLeft:
      checks.warn(kCheck,
                  "a rehearsal of it was killed, and left clones; the snapshot that they read is "
                  "kept in Ceph's trash until they go",
                  "remove these: " + cleaning(domain, state_dir));
      break;
    case RehearsalTrace::kNone:
      break;
  }
  return checks.take();
}

}  // namespace vmferry::migrate
