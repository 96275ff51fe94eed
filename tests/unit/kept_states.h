// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/memory_sources.h"
#include "vmferry/history.h"

// A disk in memory with states that were kept.

namespace vmferry::test {

/// Where two disks differ, in whole blocks; what the shorter one has not is zero, and differs.
class BytesChanges : public Changes {
 public:
  BytesChanges(std::vector<std::byte> before, std::vector<std::byte> after, uint64_t block)
      : before_(std::move(before)), after_(std::move(after)), block_(block) {}

  Run run_at(uint64_t offset, uint64_t max) const override {
    check_range(offset, max, after_.size());
    const uint64_t end = std::min({(offset / block_ + 1) * block_, offset + max, after_.size()});
    const uint64_t begin = offset / block_ * block_;
    const uint64_t block_end = std::min(begin + block_, after_.size());
    return {end - offset, differ(begin, block_end)};
  }

 private:
  bool differ(uint64_t begin, uint64_t end) const {
    return end > before_.size() ||
           !std::equal(at(after_, begin), at(after_, end), at(before_, begin));
  }
  static std::vector<std::byte>::const_iterator at(const std::vector<std::byte>& bytes,
                                                   uint64_t offset) {
    return bytes.begin() + static_cast<std::ptrdiff_t>(offset);
  }

  const std::vector<std::byte> before_;
  const std::vector<std::byte> after_;
  const uint64_t block_;
};

/// The disk, the last of `states`, whose others are its points.
class KeptStates : public MemorySource, public History {
 public:
  KeptStates(std::vector<std::vector<std::byte>> states, uint64_t block)
      : MemorySource(states.back()), states_(std::move(states)), block_(block) {}

  std::vector<Point> points() const override {
    std::vector<Point> points;
    for (size_t i = 0; i + 1 < states_.size(); ++i) {
      points.push_back({.name = "state " + std::to_string(i),
                        .id = std::to_string(10 * i + 3),
                        .size = states_[i].size(),
                        .seconds = 1700000000 + static_cast<int64_t>(i)});
    }
    return points;
  }
  std::unique_ptr<Source> open_point(size_t index) const override {
    return std::make_unique<MemorySource>(states_.at(index));
  }
  std::unique_ptr<Changes> changes(size_t before, size_t after) const override {
    return std::make_unique<BytesChanges>(states_.at(before), states_.at(after), block_);
  }

 private:
  const std::vector<std::vector<std::byte>> states_;
  const uint64_t block_;
};

/// The next state of a disk: some ranges written, some zeroed, maybe another size, in pieces of
/// `unit` bytes and of any number.
inline std::vector<std::byte> changed_disk(std::vector<std::byte> disk, uint64_t unit,
                                           std::mt19937_64& random) {
  const auto kind = random() % 6;
  if (kind == 0 || (kind == 1 && !disk.empty())) {
    const uint64_t by = random() % 2 == 0 ? random() % (20 * unit) : random() % 20 * unit;
    disk.resize(kind == 0 ? disk.size() + by : disk.size() - std::min(by, disk.size()));
  }
  for (auto changes = random() % 6; changes > 0 && !disk.empty(); --changes) {
    const uint64_t grain = random() % 2 == 0 ? 1 : unit;
    const uint64_t begin = random() % disk.size() / grain * grain;
    const uint64_t length = std::min(disk.size() - begin, random() % (8 * unit) + 1);
    const auto from = disk.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto to = from + static_cast<std::ptrdiff_t>(length);
    switch (random() % 3) {
      case 0:
        std::fill(from, to, std::byte{0});
        break;
      case 1:
        std::fill(from, to, std::byte(random() % 255 + 1));
        break;
      default:
        std::generate(from, to, [&random] { return std::byte(random()); });
    }
  }
  return disk;
}

}  // namespace vmferry::test
