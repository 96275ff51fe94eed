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
  ~Secret() { wipe(0); }

  char* data() { return reinterpret_cast<char*>(bytes_.data()); }
  size_t size() const { return bytes_.size(); }
  /// REQUIRES: not more than there are.
  void shrink(size_t size) {
    wipe(size);
    bytes_.resize(size);
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  /// From `begin` on. What was moved from has no bytes, and explicit_bzero() takes no null pointer.
  void wipe(size_t begin) {
    if (begin < bytes_.size()) {
      explicit_bzero(bytes_.data() + begin, bytes_.size() - begin);
    }
  }

  std::vector<std::byte> bytes_;
};

}  // namespace vmferry
