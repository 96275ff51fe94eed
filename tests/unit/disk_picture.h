// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "lib/core/parse_size.h"
#include "vmferry/source.h"

namespace vmferry::test {

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
    throw std::logic_error("extent_at behind the end");
  }

  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    if (offset + out.size() > bytes_.size()) {
      throw std::logic_error("read behind the end");
    }
    for (const Extent& extent : extents_) {
      if (extent.is_zero() && offset <= extent.offset && extent.end() <= offset + out.size() &&
          extent.length >= 65536) {
        hole_was_read = true;
      }
    }
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }

  std::vector<std::byte>& bytes() { return bytes_; }
  mutable std::atomic<bool> hole_was_read = false;

 private:
  const std::string name_ = "picture";
  std::vector<Extent> extents_;
  std::vector<std::byte> bytes_;
};

/// As operator==, but in one step: sanitizers watch every single comparison of that.
inline bool same_bytes(const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace vmferry::test
