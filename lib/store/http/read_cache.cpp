// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/http/read_cache.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

namespace vmferry {
namespace {

// A copy announces 64 MiB ahead. Whoever announces more than this and reads none of it is not
// heard.
constexpr size_t kMostAnnounced = 8192;
// Blocks beyond the budget, 512 MiB. The buffers of all readers take 64 MiB (compare).
constexpr size_t kMostWanted = 8192;
// What was read ahead and not used for so long will not be.
constexpr std::chrono::seconds kStale{60};

}  // namespace

ReadCache::ReadCache(uint64_t size, Fetch fetch, uint64_t budget)
    : size_(size),
      fetch_(std::move(fetch)),
      budget_(std::max<uint64_t>(1, budget / kBlock)),
      memory_(budget_ + kMostWanted, kBlock) {}

uint64_t ReadCache::length_of(uint64_t block) const {
  return std::min(kBlock, size_ - block * kBlock);
}

void ReadCache::read(uint64_t offset, std::span<std::byte> out) {
  if (out.empty()) {
    return;
  }
  const uint64_t last = (offset + out.size() - 1) / kBlock;
  while (!out.empty()) {
    const uint64_t begin = offset % kBlock;
    const uint64_t length = std::min<uint64_t>(out.size(), length_of(offset / kBlock) - begin);
    const Slice block = take(offset / kBlock, last, length);
    std::memcpy(out.data(), block.bytes().data() + begin, length);
    out = out.subspan(length);
    offset += length;
  }
}

void ReadCache::announce(uint64_t offset, uint64_t length) {
  if (length == 0) {
    return;
  }
  const uint64_t end = (offset + length - 1) / kBlock + 1;
  const std::lock_guard lock(mutex_);
  for (uint64_t block = offset / kBlock; block < end && announced_.size() < kMostAnnounced;
       ++block) {
    if (!blocks_.contains(block)) {
      announced_.insert(block);
    }
  }
}

void ReadCache::put_start(std::span<const std::byte> bytes) {
  for (uint64_t block = 0; !bytes.empty(); ++block) {
    const uint64_t length = length_of(block);
    if (bytes.size() < length) {
      break;
    }
    Buffer memory = memory_.acquire({});
    std::memcpy(memory.bytes().data(), bytes.data(), length);
    {
      const std::lock_guard lock(mutex_);
      blocks_[block].run = std::make_shared<Run>();
      ++coming_;
    }
    came(block, memory.slice(0, length));
    bytes = bytes.subspan(length);
  }
}

/// The bytes of `block`, which this or another reader fetches if need be, together with what comes
/// after it up to `last`.
Slice ReadCache::take(uint64_t block, uint64_t last, uint64_t wanted) {
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto found = blocks_.find(block);
    if (found == blocks_.end()) {
      const std::shared_ptr<Run> run = claim(block, last);
      lock.unlock();
      fetch_run(*run);
      lock.lock();
      continue;
    }
    if (found->second.bytes.size() > 0) {
      return use(found->second, block, wanted);
    }
    const std::shared_ptr<Run> run = found->second.run;
    changed_.wait(lock, [&] {
      const auto now = blocks_.find(block);
      return run->failure || now == blocks_.end() || now->second.bytes.size() > 0;
    });
    if (run->failure) {
      std::rethrow_exception(run->failure);
    }
  }
}

void ReadCache::move(Block& block, std::list<uint64_t>& to) {
  to.splice(to.end(), *block.list, block.place);
  block.list = &to;
}

Slice ReadCache::use(Block& block, uint64_t index, uint64_t wanted) {
  block.unread -= std::min(block.unread, wanted);
  move(block, block.unread == 0 ? used_ : begun_);
  announced_.erase(index);
  return block.bytes;
}

/// Takes on the fetch of `block` and of what follows it: what is wanted up to `last`, and what was
/// announced.
std::shared_ptr<ReadCache::Run> ReadCache::claim(uint64_t block, uint64_t last) {
  constexpr uint64_t kMost = kLargestRequest / kBlock;
  auto run = std::make_shared<Run>();
  run->first = block;
  uint64_t end = block;
  try {
    while (end - block < kMost && end * kBlock < size_ && !blocks_.contains(end) &&
           (end <= last || (announced_.contains(end) && may_read_ahead()))) {
      blocks_[end].run = run;
      announced_.erase(end);
      run->end = ++end;
      ++coming_;
    }
  } catch (...) {
    give_up(*run, run->first);
    throw;
  }
  return run;
}

bool ReadCache::may_read_ahead() const { return unused_.size() + coming_ < budget_ / 4 * 3; }

void ReadCache::fetch_run(Run& run) {
  uint64_t block = run.first;
  try {
    std::optional<Buffer> memory;
    uint64_t filled = 0;
    const uint64_t offset = run.first * kBlock;
    const uint64_t length = std::min(size_, run.end * kBlock) - offset;
    fetch_(offset, length, [&](std::span<const std::byte> piece) {
      while (!piece.empty()) {
        if (!memory) {
          memory = memory_.acquire({});
        }
        const uint64_t room = length_of(block) - filled;
        const auto part = piece.first(std::min<uint64_t>(room, piece.size()));
        std::memcpy(memory->bytes().data() + filled, part.data(), part.size());
        piece = piece.subspan(part.size());
        filled += part.size();
        if (part.size() == room) {
          came(block, memory->slice(0, filled));
          ++block;
          filled = 0;
          memory.reset();
        }
      }
    });
  } catch (...) {
    const std::lock_guard lock(mutex_);
    run.failure = std::current_exception();
    give_up(run, block);
    throw;
  }
}

/// REQUIRES: the block is on its way.
void ReadCache::came(uint64_t index, Slice bytes) {
  std::map<uint64_t, Block> dropped;  // without the mutex: the memory has one of its own
  const std::lock_guard lock(mutex_);
  Block& block = blocks_.at(index);
  block.place = unused_.insert(unused_.end(), index);
  block.list = &unused_;
  block.unread = length_of(index);
  block.bytes = std::move(bytes);
  block.run.reset();
  block.came = Clock::now();
  --coming_;
  shrink(dropped);
  changed_.notify_all();
}

void ReadCache::give_up(Run& run, uint64_t from) {
  for (uint64_t block = from; block < run.end; ++block) {
    blocks_.erase(block);
    --coming_;
  }
  changed_.notify_all();
}

/// What was used goes, the oldest first, then what was used in part. What was not has a reader who
/// waits for it, or was read ahead within its bound.
void ReadCache::shrink(std::map<uint64_t, Block>& dropped) {
  const Clock::time_point stale = Clock::now() - kStale;
  while (!unused_.empty() && blocks_.at(unused_.front()).came < stale) {
    move(blocks_.at(unused_.front()), used_);
  }
  while (used_.size() + begun_.size() > 0 &&
         used_.size() + begun_.size() + unused_.size() > budget_) {
    std::list<uint64_t>& from = used_.empty() ? begun_ : used_;
    dropped.insert(blocks_.extract(from.front()));
    from.pop_front();
  }
}

}  // namespace vmferry
