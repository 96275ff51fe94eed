// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "vmferry/source.h"

namespace vmferry::fuzz {

/// The fuzzer's bytes as a file. A request that breaks the contract of Source is a finding.
class BytesSource : public Source {
 public:
  BytesSource(const uint8_t* data, size_t size) : bytes_(std::as_bytes(std::span(data, size))) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return bytes_.size(); }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    if (max == 0 || offset > size() || max > size() - offset) {
      std::abort();
    }
    return {offset, max, ExtentKind::kData};
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > size() || out.size() > size() - offset) {
      std::abort();
    }
    if (!out.empty()) {
      std::memcpy(out.data(), bytes_.data() + offset, out.size());
    }
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string name_ = "fuzz";
};

}  // namespace vmferry::fuzz
