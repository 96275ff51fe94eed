// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>

#include "vmferry/buffer.h"

namespace vmferry {

/// What was read of an object that is far away, in blocks of 64 KiB. A reader who misses a block
/// asks for it and, in the same request, for those after it that were announced: so the many small
/// reads of a copy become a few large requests, and no thread is needed to read ahead. Memory is
/// bounded: blocks that were used go first. Any thread.
class ReadCache {
 public:
  static constexpr uint64_t kBlock = 64 << 10;
  static constexpr uint64_t kLargestRequest = 2 << 20;
  static constexpr uint64_t kDefaultBudget = 16 << 20;

  using Deliver = std::function<void(std::span<const std::byte>)>;
  /// Gives the bytes of a range to `deliver`, in order, a few at a time; or throws.
  using Fetch = std::function<void(uint64_t offset, uint64_t length, const Deliver& deliver)>;

  /// Of an object of `size` bytes. `budget` (bytes): of what is kept. What readers wait for comes
  /// on top of it.
  ReadCache(uint64_t size, Fetch fetch, uint64_t budget = kDefaultBudget);

  /// Fills `out`. Throws what the fetch throws; who waits for the same block gets the same.
  /// REQUIRES: offset + out.size() <= size
  void read(uint64_t offset, std::span<std::byte> out);
  /// [offset, offset + length) will be read. REQUIRES: offset + length <= size
  void announce(uint64_t offset, uint64_t length);
  /// Takes the first bytes of the object, which came by another way. Before the first read.
  void put_start(std::span<const std::byte> bytes);

 private:
  using Clock = std::chrono::steady_clock;

  /// One fetch that is under way.
  struct Run {
    uint64_t first = 0;
    uint64_t end = 0;  ///< blocks
    std::exception_ptr failure;
  };
  struct Block {
    Slice bytes;               ///< empty: it is on its way
    std::shared_ptr<Run> run;  ///< by which it comes
    uint64_t unread = 0;       ///< bytes that nobody has read yet, if nobody read any twice
    std::list<uint64_t>* list = nullptr;
    Clock::time_point came;
    std::list<uint64_t>::iterator place;  ///< in that list
  };

  uint64_t length_of(uint64_t block) const;
  Slice take(uint64_t block, uint64_t last, uint64_t wanted);
  Slice use(Block& block, uint64_t index, uint64_t wanted);
  void move(Block& block, std::list<uint64_t>& to);
  std::shared_ptr<Run> claim(uint64_t block, uint64_t last);
  bool may_read_ahead() const;
  void fetch_run(Run& run);
  void came(uint64_t index, Slice bytes);
  void give_up(Run& run, uint64_t from);
  void shrink(std::map<uint64_t, Block>& dropped);

  const uint64_t size_;
  const Fetch fetch_;
  const uint64_t budget_;  // blocks
  BufferPool memory_;      // of blocks, used again: the heap of each thread would keep some
  std::mutex mutex_;       // of what follows
  std::condition_variable changed_;
  std::map<uint64_t, Block> blocks_;
  std::list<uint64_t> used_;    // all of it, the one that was not used for longest first
  std::list<uint64_t> begun_;   // a part of it: another reader may want the rest
  std::list<uint64_t> unused_;  // in the order in which they came
  uint64_t coming_ = 0;         // blocks
  std::set<uint64_t> announced_;
};

}  // namespace vmferry
