// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fake_storage.h"
#include "vmferry/error.h"

// What volumes keep of what they held, and what brings one up to date with that.

namespace vmferry::test {
namespace {

std::string without_snapshot(const std::string& name) { return name.substr(0, name.find('@')); }

}  // namespace

CopyDone FakeStorage::update_in(const HostImage& image, const VolumeName& volume,
                                const std::string& mark, const CopyTerms& terms) {
  const auto act = [&] {
    if (terms.stop.stop_requested()) {
      throw cancelled_error();
    }
    Image& there = world_->require_image(volume.display());
    if (!there.marks.contains(mark)) {
      refuse(ErrorKind::kConflict, volume.display(), "no snapshot " + mark);
    }
    const std::string from = image.display();
    const Content before = world_->view(from);
    Content changed = changes_since(image, there, mark);
    for (const auto& [sector, value] : there.own) {  // by a copy that died, or by somebody
      const auto was = there.marks[mark].find(sector);
      if (was == there.marks[mark].end() || was->second != value) {
        changed[sector] = value;
      }
    }
    const auto write_up_to = [&](unsigned end) {
      for (const auto& [sector, value] : changed) {
        if (sector < end) {
          there.own[sector] = before.at(sector);
        }
      }
    };
    write_up_to(kSectors / 2);
    world_->middle();
    if (world_->view(from) != before) {
      world_->wrong("update from " + from + ", which changes");
    }
    write_up_to(kSectors);
    return CopyDone{.kept_bytes = 0, .digest = {}, .changed_bytes = changed.size() * kClusterBytes};
  };
  return world_->call("update_in", act);
}

Content FakeStorage::changes_since(const HostImage& image, const Image& there,
                                   const std::string& mark) {
  const std::string from = image.display();
  const std::string old =
      image.volume ? without_snapshot(from) + "@" + mark : world_->require_image(from).backing;
  if (image.volume && !world_->images.contains(old)) {
    refuse(ErrorKind::kConflict, from, "no snapshot " + mark);
  }
  const Content was = world_->view(old);
  if (was != there.marks.at(mark)) {
    world_->wrong("the snapshot " + mark + " of a volume is not what is below " + from);
  }
  if (!image.volume) {
    return world_->require_image(from).own;
  }
  Content changed;
  for (const auto& [sector, value] : world_->view(from)) {
    const auto then = was.find(sector);
    if (then == was.end() || then->second != value) {
      changed[sector] = value;
    }
  }
  return changed;
}

std::vector<std::string> FakeStorage::old_snapshots(const std::string& volume) const {
  std::vector<std::string> names;
  for (const auto& [name, image] : world_->images) {
    if (name.starts_with(volume + "@")) {
      names.push_back(name.substr(volume.size() + 1));
    }
  }
  return names;
}

const Image& FakeStorage::require_same(const HostImage& image) {
  const Image& there = world_->require_image(image.display());
  if (identity_of(image.display(), there) != image.identity) {
    refuse(ErrorKind::kConflict, image.display(), "another volume has its name now");
  }
  return there;
}

void FakeStorage::mark_old(const HostImage& image, const std::string& mark) {
  world_->call("mark_old", [&] {
    const std::string volume = image.display();
    const Image& there = require_same(image);
    const Image kept = {.size = there.size, .own = world_->view(volume)};
    if (!world_->images.emplace(volume + "@" + mark, kept).second) {
      refuse(ErrorKind::kConflict, volume, "it has a snapshot " + mark);
    }
  });
}

void FakeStorage::unmark_old(const HostImage& image, const std::string& mark) {
  world_->call("unmark_old", [&] {
    require_same(image);
    world_->images.erase(image.display() + "@" + mark);
  });
}

std::vector<std::string> FakeStorage::old_marks(const HostImage& image) {
  return world_->call("old_marks", [&] {
    require_same(image);
    return old_snapshots(image.display());
  });
}

void FakeStorage::mark(const VolumeName& volume, const std::string& mark) {
  world_->call("mark", [&] {
    Image& there = world_->require_image(volume.display());
    if (!there.marks.emplace(mark, there.own).second) {
      refuse(ErrorKind::kConflict, volume.display(), "it has a snapshot " + mark);
    }
  });
}

void FakeStorage::unmark(const VolumeName& volume, const std::string& mark) {
  world_->call("unmark", [&] { world_->images[volume.display()].marks.erase(mark); });
}

std::vector<VolumeClone> FakeStorage::clones(const VolumeName& volume) {
  return world_->call("clones", [&] {
    std::vector<VolumeClone> found;
    for (const auto& [name, image] : world_->images) {
      if (image.base.starts_with(volume.display() + "@")) {
        found.push_back({.name = name, .remedy = "flatten " + name});
      }
    }
    return found;
  });
}

std::vector<std::string> FakeStorage::marks(const VolumeName& volume) {
  return world_->call("marks", [&] {
    std::vector<std::string> names;
    for (const auto& [name, content] : world_->require_image(volume.display()).marks) {
      names.push_back(name);
    }
    return names;
  });
}

bool FakeStorage::is_as_marked(const VolumeName& volume, const std::string& mark) {
  return world_->call("is_as_marked", [&] {
    const Image& there = world_->require_image(volume.display());
    return there.marks.contains(mark) && there.marks.at(mark) == there.own;
  });
}

}  // namespace vmferry::test
