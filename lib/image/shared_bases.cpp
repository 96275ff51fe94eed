// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/shared_bases.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace vmferry {
namespace {

/// Less than that in common is not worth a base.
constexpr uint64_t kLeastPart = 10;

/// Data that both have at the same places, by whole blocks.
uint64_t common_bytes(const DiskDigest& a, const DiskDigest& b) {
  uint64_t bytes = 0;
  for (auto block = a.next(0); block; block = a.next(block->index + 1)) {
    if (block->digest.length > 0 && b.find(block->index) == block->digest) {
      bytes += block->digest.length;
    }
  }
  return bytes;
}

uint64_t bytes_told_of(const DiskDigest& digest) {
  uint64_t bytes = 0;
  for (auto block = digest.next(0); block; block = digest.next(block->index + 1)) {
    bytes += block->digest.length;
  }
  return bytes;
}

class Grouping {
 public:
  explicit Grouping(const std::vector<DiskImageOnHost>& disks)
      : disks_(disks), taken_(disks.size(), false) {
    for (size_t i = 0; i < disks.size(); ++i) {
      by_path_.emplace(disks[i].path, i);
      if (!disks[i].below.empty()) {
        lower_.insert(disks[i].below);
      }
    }
  }

  std::vector<SharedBase> find() {
    add_chains();
    add_contents();
    std::stable_sort(bases_.begin(), bases_.end(), [](const SharedBase& a, const SharedBase& b) {
      return a.saved_bytes() > b.saved_bytes();
    });
    return std::move(bases_);
  }

 private:
  bool is_below_another(size_t disk) const { return lower_.count(disks_[disk].path) > 0; }

  const DiskImageOnHost* find_path(const std::string& path) const {
    const auto found = by_path_.find(path);
    return found == by_path_.end() ? nullptr : &disks_[found->second];
  }

  struct Root {
    std::string path;
    uint64_t bytes_above = 0;  ///< what lies between, the disk's own included
  };

  /// The lowest image that is known to be below the disk. A chain that comes back to itself has
  /// none.
  std::optional<Root> root_of(size_t disk) const {
    const DiskImageOnHost* at = &disks_[disk];
    Root root;
    for (size_t steps = 0; steps <= disks_.size(); ++steps) {
      root.path = at->path;
      if (at->below.empty()) {
        return root;
      }
      root.bytes_above += at->data_bytes;
      const DiskImageOnHost* below = find_path(at->below);
      if (below == nullptr) {
        root.path = at->below;
        return root;
      }
      at = below;
    }
    return std::nullopt;
  }

  void add_chains() {
    std::map<std::string, std::vector<BaseSharer>> over;
    for (size_t i = 0; i < disks_.size(); ++i) {
      const std::optional<Root> root = root_of(i);
      if (!root || root->path == disks_[i].path || is_below_another(i)) {
        continue;
      }
      const DiskImageOnHost* base = find_path(root->path);
      over[root->path].push_back({.disk = i,
                                  .is_over_it = true,
                                  .common_bytes = base == nullptr ? 0 : base->data_bytes,
                                  .own_bytes = root->bytes_above});
    }
    for (auto& [path, sharers] : over) {
      const DiskImageOnHost* base = find_path(path);
      SharedBase group = {.path = path,
                          .data_bytes = base == nullptr ? 0 : base->data_bytes,
                          .is_disk = false,
                          .sharers = std::move(sharers)};
      if (base != nullptr) {
        add_alike(static_cast<size_t>(base - disks_.data()), group.sharers);
      }
      keep(std::move(group));
    }
  }

  /// Disks that have much in common with `base`, and are in no group yet.
  void add_alike(size_t base, std::vector<BaseSharer>& sharers) const {
    const DiskDigest* held = disks_[base].digest.get();
    for (size_t i = 0; held != nullptr && i < disks_.size(); ++i) {
      const DiskDigest* shown = disks_[i].digest.get();
      if (i == base || taken_[i] || shown == nullptr || is_below_another(i)) {
        continue;
      }
      const uint64_t common = common_bytes(*held, *shown);
      const uint64_t all = bytes_told_of(*shown);
      if (common > 0 && common >= all / kLeastPart) {
        sharers.push_back({i, false, common, all - common});
      }
    }
    std::sort(sharers.begin(), sharers.end(),
              [](const BaseSharer& a, const BaseSharer& b) { return a.disk < b.disk; });
  }

  void add_contents() {
    for (;;) {
      std::optional<SharedBase> best;
      for (size_t i = 0; i < disks_.size(); ++i) {
        if (taken_[i] || disks_[i].digest == nullptr || is_below_another(i)) {
          continue;
        }
        SharedBase group = {.path = disks_[i].path,
                            .data_bytes = bytes_told_of(*disks_[i].digest),
                            .is_disk = true,
                            .sharers = {{i, false, 0, 0}}};
        add_alike(i, group.sharers);
        if (group.sharers.size() > 1 && (!best || group.saved_bytes() > best->saved_bytes())) {
          best = std::move(group);
        }
      }
      if (!best) {
        return;
      }
      keep(std::move(*best));
    }
  }

  void keep(SharedBase group) {
    if (group.sharers.size() < 2) {
      return;
    }
    for (const BaseSharer& sharer : group.sharers) {
      taken_[sharer.disk] = true;
    }
    bases_.push_back(std::move(group));
  }

  const std::vector<DiskImageOnHost>& disks_;
  std::map<std::string, size_t> by_path_;
  std::set<std::string> lower_;  ///< paths of images that others were made over
  std::vector<bool> taken_;
  std::vector<SharedBase> bases_;
};

}  // namespace

uint64_t SharedBase::saved_bytes() const {
  uint64_t common = 0;
  for (const BaseSharer& sharer : sharers) {
    common += sharer.common_bytes;
  }
  // The base is there once; one that is a disk itself has been left out of the sum.
  return is_disk ? common : common - std::min(common, data_bytes);
}

std::vector<SharedBase> find_shared_bases(const std::vector<DiskImageOnHost>& disks) {
  return Grouping(disks).find();
}

}  // namespace vmferry
