// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_recount.h"

#include <algorithm>
#include <utility>

#include "lib/format/qcow2/qcow2_counts.h"

namespace vmferry {
namespace {

constexpr uint64_t kPlaceMask = 0x00fffffffffffe00;
constexpr uint64_t kCopiedBit = uint64_t{1} << 63;
constexpr uint64_t kCompressedBit = uint64_t{1} << 62;
constexpr uint64_t kSectorBytes = 512;

class Recount {
 public:
  Recount(const Qcow2Uses& uses, Qcow2Space& space, Qcow2NewFile& file)
      : uses_(uses),
        cluster_(uint64_t{1} << uses.cluster_bits),
        file_(file),
        written_(file.written()),
        counts_(uses.cluster_bits, file, space.take_blocks()) {}

  Qcow2Space::Table run() {
    for (const Qcow2Place& other : uses_.others) {
      counts_.add(other.offset, other.bytes, 1);
    }
    for (uint64_t state = 0; state < uses_.states.size(); ++state) {
      const auto [offset, entries] = uses_.states[state];
      counts_.add(offset, entries * sizeof(uint64_t), 1);
      next_state(state, read_table(*written_, offset, entries));
    }
    finish_newest();
    return counts_.finish();
  }

 private:
  void next_state(uint64_t state, std::vector<uint64_t> l1) {
    const size_t entries = std::max(l1_.size(), l1.size());
    l1_.resize(entries);
    since_.resize(entries);
    l1.resize(entries);
    for (size_t i = 0; i < entries; ++i) {
      const uint64_t table = l1[i] & kPlaceMask;
      if (table == l1_[i]) {
        continue;
      }
      if (l1_[i] != 0) {
        count(l1_[i], read(l1_[i]), state - since_[i]);
      }
      l1_[i] = table;
      since_[i] = state;
    }
  }

  /// The disk as it is now: its tables tell what is used once.
  void finish_newest() {
    FilePieces pieces;
    const auto [offset, entries] = uses_.states.back();
    std::vector<uint64_t> flagged(entries);
    for (uint64_t i = 0; i < entries; ++i) {
      if (l1_[i] == 0) {
        continue;
      }
      const uint64_t times = uses_.states.size() - since_[i];
      std::vector<uint64_t> table = read(l1_[i]);
      count(l1_[i], table, times);
      flagged[i] = l1_[i] | (times == 1 ? kCopiedBit : 0);
      if (flag(table, times)) {
        append_table(pieces, l1_[i], table, TableZeros::kWritten);
        file_.write(std::exchange(pieces, {}));
      }
    }
    append_table(pieces, offset, flagged, TableZeros::kWritten);
    file_.write(std::move(pieces));
  }

  /// Was anything changed?
  bool flag(std::vector<uint64_t>& table, uint64_t times) const {
    bool has_changed = false;
    for (uint64_t& entry : table) {
      const uint64_t place = entry & kPlaceMask;
      if ((entry & kCompressedBit) != 0 || place == 0) {
        continue;
      }
      const bool is_alone = times == 1 && place >= uses_.newest_begins;
      const uint64_t flagged = (entry & ~kCopiedBit) | (is_alone ? kCopiedBit : 0);
      has_changed |= flagged != entry;
      entry = flagged;
    }
    return has_changed;
  }

  void count(uint64_t place, const std::vector<uint64_t>& table, uint64_t times) {
    counts_.add(place, cluster_, times);
    for (const uint64_t entry : table) {
      if ((entry & kCompressedBit) != 0) {
        const uint32_t shift = 62 - (uses_.cluster_bits - 8);
        const uint64_t offset = entry & ((uint64_t{1} << shift) - 1);
        const uint64_t sectors = (entry & (kCompressedBit - 1)) >> shift;
        counts_.add(offset, (sectors + 1) * kSectorBytes - offset % kSectorBytes, times);
      } else if ((entry & kPlaceMask) != 0) {
        counts_.add(entry & kPlaceMask, cluster_, times);
      }
    }
  }

  std::vector<uint64_t> read(uint64_t place) const {
    return read_table(*written_, place, cluster_ / sizeof(uint64_t));
  }

  const Qcow2Uses& uses_;
  const uint64_t cluster_;
  Qcow2NewFile& file_;
  const std::unique_ptr<Source> written_;
  Qcow2Counts counts_;
  std::vector<uint64_t> l1_;     ///< of the state that was looked at last
  std::vector<uint64_t> since_;  ///< by index in it: the first state that has that table
};

}  // namespace

Qcow2Space::Table recount(const Qcow2Uses& uses, Qcow2Space& space, Qcow2NewFile& file) {
  return Recount(uses, space, file).run();
}

}  // namespace vmferry
