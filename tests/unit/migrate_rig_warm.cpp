// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/migrate_rig.h"

// A warm move of the machine of a rig.

namespace vmferry::test {

Plan Rig::plan_sync() {
  Listener listener;
  return vmferry::plan_sync(request, context(listener, {}));
}

Plan Rig::plan_cutover(bool before_sync) {
  Listener listener;
  return vmferry::plan_cutover(request, context(listener, {}), before_sync);
}

Plan Rig::plan_stop(bool remove_volumes) {
  Listener listener;
  return plan_sync_stop(request, remove_volumes, context(listener, {}));
}

std::optional<SyncState> Rig::sync_state() const { return read_sync_state(kGuestName, state_dir_); }

std::vector<std::string> Rig::problems_if_synced() {
  require(!has_journal(), "the journal is left");
  check_state("alpha");
  const std::optional<SyncState> state = sync_state();
  require(state.has_value(), "there is no state of the warm move");
  std::set<std::string> expected = images_before_;
  for (const SyncedDisk& disk : state ? state->disks : std::vector<SyncedDisk>()) {
    const std::string volume = disk.volume.display();
    const std::string mark = sync_mark(state->last().number);
    const std::string copied =
        disk.image.volume ? disk.image.display() + "@" + mark : disk.image.path;
    expected.insert({disk.image.volume ? copied : disk.overlay, volume});
    require(disk.layer.empty(), "a layer of " + disk.dev + " is noted");
    require(world_->images[volume].marks[mark] == world_->view(copied),
            volume + " was not marked with what " + copied + " has");
    const std::vector<Layer>& chain = guest().disks[disk.dev].chain;
    const bool is_overlaid =
        chain.size() > 1 && chain[0].image == disk.overlay && chain[1].image == disk.image.path;
    const bool is_as_before = chain.size() == 1 && chain[0].image == disk.image.display();
    require(!guest().active() || (disk.image.volume ? is_as_before : is_overlaid),
            "the chain of " + disk.dev + " is not as a sync leaves it");
  }
  check_images(expected);
  for (std::string& problem : problems_always()) {
    problems_.push_back(std::move(problem));
  }
  check_restart();
  return report_problems();
}

}  // namespace vmferry::test
