// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fake_world.h"

#include <algorithm>
#include <chrono>
#include <utility>

// Who uses which image, and what the world looks like.

namespace vmferry::test {

std::vector<std::string> World::images_of(const LiveDisk& disk) const {
  std::vector<std::string> used;
  for (const Layer& layer : disk.chain) {
    used.push_back(layer.image);
  }
  if (disk.job) {
    for (const Layer& layer : disk.job->goal) {
      used.push_back(layer.image);
    }
  }
  return used;
}

size_t World::users_of(const std::string& image) const {
  size_t users = 0;
  for (const auto& [host_name, host] : hosts) {
    for (const auto& [name, domain] : host.domains) {
      const auto uses = [&](const auto& disk) {
        const std::vector<std::string> used = images_of(disk.second);
        return std::find(used.begin(), used.end(), image) != used.end();
      };
      users += std::any_of(domain.disks.begin(), domain.disks.end(), uses);
    }
  }
  return users;
}

bool World::named(const std::string& image) const {
  for (const auto& [host_name, host] : hosts) {
    for (const auto& [name, domain] : host.domains) {
      if (domain.stored.empty()) {
        continue;
      }
      for (const DefinedDisk& disk : read_definition(domain.stored).disks) {
        if (disk.chain.empty()) {
          continue;
        }
        for (const Layer& layer : chain_of(disk.chain.front())) {
          if (layer.image == image) {
            return true;
          }
        }
      }
    }
  }
  return false;
}

void World::remove_image(const std::string& image) {
  if (!images.contains(image)) {
    return;
  }
  if (foreign.contains(image)) {
    wrong("removed " + image + ", which is somebody's");
  }
  if (in_use(image)) {
    wrong("removed " + image + ", which a guest uses");
  }
  if (named(image)) {
    wrong("removed " + image + ", which a definition names");
  }
  images.erase(image);
}

std::string World::outline() const {
  std::string text;
  for (const auto& [name, image] : images) {
    text += name + " over " + image.backing + "\n";
  }
  for (const auto& [host_name, host] : hosts) {
    for (const auto& [uuid, its_key] : host.secrets) {
      text += uuid + " on " + host_name + "\n";
    }
    for (const auto& [name, domain] : host.domains) {
      text += host_name + std::to_string(static_cast<int>(domain.state)) + domain.stored +
              domain.running + (domain.autostart ? " autostart" : "");
      for (const KnownSnapshot& snapshot : domain.known_snapshots) {
        text += snapshot.definition + (snapshot.current ? " current" : "");
      }
      for (const auto& [dev, disk] : domain.disks) {
        if (disk.job) {
          text += dev + std::to_string(static_cast<int>(disk.job->kind)) +
                  std::to_string(disk.job->progress) + "/" + std::to_string(disk.job->ending);
        }
      }
    }
  }
  return text;
}

}  // namespace vmferry::test
