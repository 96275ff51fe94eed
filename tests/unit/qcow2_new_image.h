// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <atomic>
#include <mutex>

#include "lib/format/qcow2/qcow2_target.h"
#include "tests/unit/qcow2_image.h"

// qcow2 images that are made in memory, and what is counted of them.

namespace vmferry::test::qcow2 {

/// A new file in memory, as a store makes it: it grows with what is written.
class GrowingFile : public Target, private Sink {
 public:
  explicit GrowingFile(Bytes& bytes) : bytes_(bytes) {}

  Sink& sink() override { return *this; }
  void publish() override { is_published = true; }

  std::atomic<bool> is_published = false;
  int flushes = 0;
  /// Of the flush before the first byte was written; the header comes after all else is durable.
  int flushes_before_header = 0;
  std::function<void()> before_write;
  std::function<void(Bytes&)> before_read_back;

 private:
  const std::string& name() const override { return name_; }
  uint64_t size() const override { return UINT64_MAX / 4; }
  SinkTraits traits() const override { return {.starts_zeroed = true}; }
  void zero_range(uint64_t, uint64_t) override {}
  void write_at(uint64_t offset, Slice data) override {
    const std::lock_guard lock(mutex_);
    if (before_write) {
      before_write();
    }
    if (offset == 0) {
      flushes_before_header = flushes;
    }
    bytes_.resize(std::max<uint64_t>(bytes_.size(), offset + data.size()));
    std::memcpy(bytes_.data() + offset, data.bytes().data(), data.size());
  }
  void grow(uint64_t) override {}
  void set_size(uint64_t size) override { bytes_.resize(size); }
  void flush() override { ++flushes; }
  std::unique_ptr<Source> read_back() override {
    if (before_read_back) {
      before_read_back(bytes_);
    }
    return std::make_unique<MemorySource>(bytes_);
  }

  const std::string name_ = "new.qcow2";
  std::mutex mutex_;
  Bytes& bytes_;
};

inline uint64_t big_endian(const Bytes& bytes, uint64_t at, int length) {
  uint64_t value = 0;
  for (int i = 0; i < length; ++i) {
    value = value << 8 | std::to_integer<uint64_t>(bytes.at(at + i));
  }
  return value;
}

/// How often each cluster of the file is used, as its tables tell: those of the disk as it is now,
/// and of all snapshots.
class Uses {
 public:
  explicit Uses(const Bytes& file)
      : file_(file), bits_(big_endian(file, 20, 4)), uses_((file.size() >> bits_) + 1) {
    add(0, 1);
    add_disk(big_endian(file, 40, 8), big_endian(file, 36, 4), true);
    add_snapshots(big_endian(file, 64, 8), big_endian(file, 60, 4));
    count_bits_ = uint64_t{1} << big_endian(file, 96, 4);
    table_ = big_endian(file, 48, 8);
    blocks_ = (big_endian(file, 56, 4) << bits_) / 8;
    add(table_, blocks_ * 8);
    for (uint64_t i = 0; i < blocks_; ++i) {
      if (const uint64_t block = big_endian(file, table_ + 8 * i, 8)) {
        add(block, cluster());
      }
    }
  }

  /// As qemu-img check does: what is counted is what is used, and what is marked as used once is.
  bool are_counted() const {
    for (uint64_t i = 0; i < uses_.size(); ++i) {
      if (counted(i) != uses_[i]) {
        UNSCOPED_INFO("cluster " << i << " of " << uses_.size() << ": counted " << counted(i)
                                 << ", used " << uses_[i]);
        return false;
      }
    }
    for (const uint64_t entry : entries_) {
      if ((entry >> 63 == 1) != (uses_.at((entry & kPlace) >> bits_) == 1)) {
        UNSCOPED_INFO("the mark of entry " << entry << " is wrong");
        return false;
      }
    }
    return true;
  }
  uint64_t most() const { return *std::max_element(uses_.begin(), uses_.end()); }
  // Of the disk as it is now.
  uint64_t plain = 0;
  uint64_t packed = 0;

 private:
  static constexpr uint64_t kPlace = 0x00fffffffffffe00;

  uint64_t cluster() const { return uint64_t{1} << bits_; }
  uint64_t counted(uint64_t index) const {
    const uint64_t per_block = cluster() * 8 / count_bits_;
    const uint64_t at = table_ + index / per_block * 8;
    const uint64_t block = index / per_block < blocks_ ? big_endian(file_, at, 8) : 0;
    const int bytes = static_cast<int>(count_bits_ / 8);
    return block == 0 ? 0 : big_endian(file_, block + index % per_block * bytes, bytes);
  }
  void add(uint64_t offset, uint64_t bytes) {
    if (bytes == 0) {
      return;
    }
    for (uint64_t i = offset >> bits_; i <= (offset + bytes - 1) >> bits_; ++i) {
      ++uses_.at(i);
    }
  }
  void add_disk(uint64_t l1, uint64_t entries, bool is_now) {
    add(l1, entries * 8);
    for (uint64_t i = 0; i < entries; ++i) {
      if (const uint64_t entry = big_endian(file_, l1 + 8 * i, 8)) {
        add_l2(entry & kPlace, is_now);
        if (is_now) {
          entries_.push_back(entry);
        }
      }
    }
  }
  void add_snapshots(uint64_t offset, uint64_t count) {
    uint64_t at = offset;
    for (uint64_t i = 0; i < count; ++i) {
      add_disk(big_endian(file_, at, 8), big_endian(file_, at + 8, 4), false);
      const uint64_t bytes = 40 + big_endian(file_, at + 36, 4) + big_endian(file_, at + 12, 2) +
                             big_endian(file_, at + 14, 2);
      at += (bytes + 7) / 8 * 8;
    }
    add(offset, at - offset);
  }
  void add_l2(uint64_t table, bool is_now) {
    add(table, cluster());
    for (uint64_t i = 0; i < cluster() / 8; ++i) {
      const uint64_t entry = big_endian(file_, table + 8 * i, 8);
      const unsigned shift = 62 - (bits_ - 8);
      if (entry >> 62 == 1) {
        const uint64_t offset = entry & ((uint64_t{1} << shift) - 1);
        const uint64_t sectors = (entry & ((uint64_t{1} << 62) - 1)) >> shift;
        add(offset, (sectors + 1) * 512 - offset % 512);
        packed += is_now ? 1 : 0;
      } else if ((entry & kPlace) != 0) {
        add(entry & kPlace, cluster());
        plain += is_now ? 1 : 0;
        if (is_now) {
          entries_.push_back(entry);
        }
      }
    }
  }

  const Bytes& file_;
  const unsigned bits_;
  std::vector<uint64_t> uses_;
  std::vector<uint64_t> entries_;  ///< of the disk as it is now: those with marks
  uint64_t count_bits_ = 0;
  uint64_t table_ = 0;
  uint64_t blocks_ = 0;
};

using Codec = std::optional<ClusterCodec>;
inline constexpr Codec kCodecs[] = {std::nullopt, ClusterCodec::kDeflate, ClusterCodec::kZstd};

inline NewQcow2 new_image(uint32_t bits, uint64_t size, Codec codec) {
  return {.cluster_bits = bits, .guest_size = size, .codec = codec, .level = codec ? 1 : 0};
}

inline Slice slice_of(const Bytes& disk, uint64_t offset, uint64_t bytes) {
  const auto copy =
      std::make_shared<const Bytes>(disk.begin() + static_cast<std::ptrdiff_t>(offset),
                                    disk.begin() + static_cast<std::ptrdiff_t>(offset + bytes));
  return Slice({copy, copy->data()}, *copy);
}

}  // namespace vmferry::test::qcow2
