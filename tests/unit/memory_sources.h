// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "lib/core/parse_size.h"
#include "vmferry/source.h"

// Disks and files in memory. Several threads ask them at once, and Catch is not for that: what asks
// for bytes that they do not have gets a logic_error.

namespace vmferry::test {

/// Throws where a source of `size` bytes has no such range.
inline void check_range(uint64_t offset, uint64_t length, uint64_t size) {
  if (offset > size || length > size - offset) {
    throw std::logic_error("asked for what is beyond the end");
  }
}

/// Bytes as they are, all of them data but for one hole. Keeps account of what is asked for.
class MemorySource : public Source {
 public:
  using Range = std::pair<uint64_t, uint64_t>;  // offset, length

  explicit MemorySource(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return bytes_.size(); }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    check_range(offset, max, size());
    if (max == 0) {
      throw std::logic_error("asked for an extent of no bytes");
    }
    ++extent_calls;
    if (offset < hole.first) {
      return {offset, std::min(max, hole.first - offset), ExtentKind::kData};
    }
    const uint64_t end = hole.first + hole.second;
    if (offset < end) {
      return {offset, std::min(max, end - offset), ExtentKind::kZero};
    }
    return {offset, max, ExtentKind::kData};
  }

  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    check_range(offset, out.size(), size());
    ++reads;
    if (log_reads) {
      const std::lock_guard lock(mutex_);
      read_ranges.emplace_back(offset, out.size());
    }
    if (!out.empty()) {
      std::memcpy(out.data(), bytes_.data() + offset, out.size());
    }
  }

  void prefetch(uint64_t offset, uint64_t length) const override {
    const std::lock_guard lock(mutex_);
    prefetched.emplace_back(offset, length);
  }

  std::vector<std::byte>& bytes() { return bytes_; }

  Range hole = {UINT64_MAX / 2, 0};
  mutable std::atomic<int> reads = 0;
  mutable std::atomic<int> extent_calls = 0;
  mutable std::vector<Range> prefetched;
  bool log_reads = false;
  mutable std::vector<Range> read_ranges;

 private:
  mutable std::mutex mutex_;
  std::vector<std::byte> bytes_;
  const std::string name_ = "img.qcow2";
};

/// A disk in memory, drawn as a string: "64K:A 64K:0 1M:-" is 64 KiB of 'A', 64 KiB of zeros that
/// are stored as data, and a hole of 1 MiB. Tells whether a hole was read.
class PictureSource : public Source {
 public:
  explicit PictureSource(const std::string& picture) {
    std::istringstream words(picture);
    for (std::string word; words >> word;) {
      const size_t colon = word.find(':');
      const uint64_t length = parse_size(word.substr(0, colon));
      const char letter = word.at(colon + 1);
      extents_.push_back(
          {bytes_.size(), length, letter == '-' ? ExtentKind::kZero : ExtentKind::kData});
      bytes_.resize(bytes_.size() + length,
                    letter == '-' || letter == '0' ? std::byte{0} : std::byte(letter));
    }
  }

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return bytes_.size(); }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    for (const Extent& extent : extents_) {
      if (offset < extent.end()) {
        return {offset, std::min(max, extent.end() - offset), extent.kind};
      }
    }
    throw std::logic_error("asked for what is beyond the end");
  }

  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    check_range(offset, out.size(), size());
    for (const Extent& extent : extents_) {
      if (extent.is_zero() && offset <= extent.offset && extent.end() <= offset + out.size() &&
          extent.length >= 65536) {
        hole_was_read = true;
      }
    }
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  }

  std::vector<std::byte>& bytes() { return bytes_; }
  mutable std::atomic<bool> hole_was_read = false;

 private:
  const std::string name_ = "picture";
  std::vector<Extent> extents_;
  std::vector<std::byte> bytes_;
};

/// A disk of any size in memory, zeros but for what was put somewhere. Counts the bytes read.
class SparseDisk : public Source {
 public:
  explicit SparseDisk(uint64_t size) : size_(size) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    check_range(offset, max, size_);
    const auto next = pages_.lower_bound(offset / kPage);
    if (next == pages_.end()) {
      return {offset, max, ExtentKind::kZero};
    }
    const uint64_t begin = next->first * kPage;
    if (begin > offset) {
      return {offset, std::min(max, begin - offset), ExtentKind::kZero};
    }
    return {offset, std::min(max, begin + kPage - offset), ExtentKind::kData};
  }

  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    check_range(offset, out.size(), size_);
    bytes_read += out.size();
    while (!out.empty()) {
      const size_t in_page = offset % kPage;
      const size_t part = std::min<size_t>(out.size(), kPage - in_page);
      const auto page = pages_.find(offset / kPage);
      if (page == pages_.end()) {
        std::memset(out.data(), 0, part);
      } else {
        std::memcpy(out.data(), page->second.data() + in_page, part);
      }
      out = out.subspan(part);
      offset += part;
    }
  }

  void put(uint64_t offset, std::span<const std::byte> bytes) {
    check_range(offset, bytes.size(), size_);
    for (const std::byte b : bytes) {
      std::vector<std::byte>& page = pages_[offset / kPage];
      page.resize(kPage);
      page[offset % kPage] = b;
      ++offset;
    }
  }

  void put(uint64_t offset, std::string_view text) { put(offset, std::as_bytes(std::span(text))); }

  /// Little endian.
  void put_int(uint64_t offset, unsigned length, uint64_t value) {
    for (unsigned i = 0; i < length; ++i) {
      const std::byte b{static_cast<unsigned char>(value >> (8 * i))};
      put(offset + i, std::span(&b, 1));
    }
  }

  std::vector<std::byte> get(uint64_t offset, size_t length) const {
    std::vector<std::byte> out(length);
    read_at(offset, out);
    return out;
  }

  mutable std::atomic<uint64_t> bytes_read = 0;

 private:
  static constexpr uint64_t kPage = 4096;

  const std::string name_ = "sparse";
  const uint64_t size_;
  std::map<uint64_t, std::vector<std::byte>> pages_;
};

/// As operator==, but in one step: sanitizers watch every single comparison of that.
inline bool same_bytes(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);  // it takes no null pointer
}

}  // namespace vmferry::test
