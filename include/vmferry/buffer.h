// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>

#include "vmferry/api.h"

namespace VMFERRY_API vmferry {

/// Bytes to write, together with a share of the memory they lie in: the memory stays valid and
/// unchanged until the last Slice of it is gone. Movable between threads; one thread at a time.
class Slice {
 public:
  Slice() = default;
  Slice(std::shared_ptr<const std::byte> owner, std::span<const std::byte> bytes)
      : owner_(std::move(owner)), bytes_(bytes) {}

  std::span<const std::byte> bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  /// A slice of the same memory. REQUIRES: offset + length <= size().
  Slice part(size_t offset, size_t length) const {
    return Slice(owner_, bytes_.subspan(offset, length));
  }

 private:
  std::shared_ptr<const std::byte> owner_;
  std::span<const std::byte> bytes_;
};

/// One buffer of a pool, filled by one thread and then cut into slices.
class Buffer {
 public:
  Buffer(std::shared_ptr<std::byte> memory, size_t size)
      : memory_(std::move(memory)), size_(size) {}

  std::span<std::byte> bytes() { return {memory_.get(), size_}; }
  /// REQUIRES: offset + length <= size of the buffer.
  Slice slice(size_t offset, size_t length) const {
    return Slice(memory_, std::span<const std::byte>(memory_.get() + offset, length));
  }

 private:
  std::shared_ptr<std::byte> memory_;
  size_t size_;
};

/// A fixed number of page-aligned buffers of one size. count x size is both the memory bound and
/// the queue depth of a copy: who finds none free, waits. Memory is taken on first use.
/// All members may be called from many threads; buffers may outlive the pool.
class BufferPool {
 public:
  /// REQUIRES: count > 0, size > 0 and a multiple of 4096.
  BufferPool(size_t count, size_t size);

  /// Waits for a free buffer, and calls `meanwhile` each second, which may throw. Throws Error
  /// kCancelled when `stop` is triggered while waiting.
  Buffer acquire(std::stop_token stop, const std::function<void()>& meanwhile = {});
  size_t buffer_size() const { return size_; }

 private:
  struct State;
  std::shared_ptr<State> state_;
  size_t size_;
};

}  // namespace VMFERRY_API vmferry
