// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "vmferry/source.h"

namespace vmferry::test {

/// A disk of any size in memory, zeros but for what was put somewhere. Counts the bytes read.
class SparseDisk : public Source {
 public:
  explicit SparseDisk(uint64_t size) : size_(size) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    check(offset, max);
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
    check(offset, out.size());
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
    check(offset, bytes.size());
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

  mutable uint64_t bytes_read = 0;

 private:
  static constexpr uint64_t kPage = 4096;

  void check(uint64_t offset, uint64_t length) const {
    if (offset > size_ || length > size_ - offset) {
      throw std::logic_error("outside the disk");
    }
  }

  const std::string name_ = "sparse";
  const uint64_t size_;
  std::map<uint64_t, std::vector<std::byte>> pages_;
};

}  // namespace vmferry::test
