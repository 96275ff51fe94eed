// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

namespace vmferry {

/// Secret bytes, wiped when they go. One thread.
class Secret {
 public:
  explicit Secret(size_t size) : bytes_(size) {}
  Secret(Secret&&) = default;
  Secret& operator=(Secret&&) = delete;
  ~Secret() { explicit_bzero(bytes_.data(), bytes_.size()); }

  char* data() { return reinterpret_cast<char*>(bytes_.data()); }
  size_t size() const { return bytes_.size(); }
  /// REQUIRES: not more than there are.
  void shrink(size_t size) {
    explicit_bzero(bytes_.data() + size, bytes_.size() - size);
    bytes_.resize(size);
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace vmferry
