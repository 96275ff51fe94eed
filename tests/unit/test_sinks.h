// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "vmferry/error.h"
#include "vmferry/sink.h"

namespace vmferry::test {

/// One call that reached a sink.
struct Call {
  char what;  // 'W'rite or 'Z'ero
  uint64_t offset;
  uint64_t length;
  auto operator<=>(const Call&) const = default;
};

/// Keeps the bytes and the exact list of calls. Unwritten bytes are 0xEE unless it starts zeroed.
class RecordingSink : public Sink {
 public:
  RecordingSink(uint64_t size, SinkTraits traits)
      : bytes_(size, traits.starts_zeroed ? std::byte{0} : std::byte{0xEE}), traits_(traits) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return bytes_.size(); }
  SinkTraits traits() const override { return traits_; }

  void write_at(uint64_t offset, Slice data) override {
    std::lock_guard lock(mutex_);
    note('W', offset, data.size());
    std::memcpy(bytes_.data() + offset, data.bytes().data(), data.size());
  }
  void zero_range(uint64_t offset, uint64_t length) override {
    std::lock_guard lock(mutex_);
    note('Z', offset, length);
    std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
  }
  void flush() override { flushed = true; }
  std::unique_ptr<Source> read_back() override { return nullptr; }

  /// Sorted by offset: workers come in any order.
  std::vector<Call> calls() const {
    std::vector<Call> sorted = calls_;
    std::sort(sorted.begin(), sorted.end(),
              [](const Call& a, const Call& b) { return a.offset < b.offset; });
    return sorted;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  bool flushed = false;

 protected:
  /// REQUIRES: mutex_ held.
  virtual void note(char what, uint64_t offset, uint64_t length) {
    if (offset + length > bytes_.size() || length == 0) {
      throw std::logic_error("call out of range");
    }
    calls_.push_back({what, offset, length});
  }
  std::mutex mutex_;
  std::vector<Call> calls_;
  std::vector<std::byte> bytes_;

 private:
  const std::string name_ = "recording";
  const SinkTraits traits_;
};

/// Fails its k-th call (counted from 0).
class FaultySink : public RecordingSink {
 public:
  FaultySink(uint64_t size, SinkTraits traits, size_t fail_at)
      : RecordingSink(size, traits), fail_at_(fail_at) {}

 protected:
  void note(char what, uint64_t offset, uint64_t length) override {
    if (calls_.size() == fail_at_) {
      ++fail_at_;  // from here on everything fails, as with a full disk
      throw Error({.kind = ErrorKind::kIo,
                   .object = "faulty",
                   .action = "write",
                   .offset = offset,
                   .cause = "made to"});
    }
    RecordingSink::note(what, offset, length);
  }

 private:
  size_t fail_at_;
};

/// Takes writes at once and carries them out later, in random order, in a thread of its own, as
/// librbd does. The write number `fail_at` fails then, and is reported by the next call or by
/// flush.
class LateSink : public RecordingSink {
 public:
  LateSink(uint64_t size, SinkTraits traits, size_t fail_at = SIZE_MAX)
      : RecordingSink(size, traits),
        fail_at_(fail_at),
        worker_([this](std::stop_token stop) { work(stop); }) {}
  ~LateSink() override { worker_ = {}; }

  void write_at(uint64_t offset, Slice data) override {
    std::lock_guard lock(queue_mutex_);
    if (failed_) {
      fail();
    }
    queue_.push_back({offset, std::move(data)});
  }
  void flush() override {
    for (;;) {
      {
        std::lock_guard lock(queue_mutex_);
        if (queue_.empty() && !busy_) {
          if (failed_) {
            fail();
          }
          return RecordingSink::flush();
        }
      }
      std::this_thread::yield();
    }
  }

 private:
  struct Waiting {
    uint64_t offset = 0;
    Slice data;
  };

  [[noreturn]] static void fail() {
    throw Error({.kind = ErrorKind::kIo, .object = "late", .action = "write", .cause = "made to"});
  }

  void work(std::stop_token stop) {
    std::mt19937 random(7);
    for (;;) {
      Waiting next;
      {
        std::lock_guard lock(queue_mutex_);
        if (queue_.empty() && stop.stop_requested()) {
          return;
        }
        if (!queue_.empty()) {
          const size_t at = random() % queue_.size();
          next = std::move(queue_[at]);
          queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(at));
          busy_ = true;
        }
      }
      if (busy_) {
        carry_out(std::move(next));
      }
      std::this_thread::yield();
    }
  }

  void carry_out(Waiting next) {
    const bool bad = done_++ == fail_at_;
    if (!bad) {
      RecordingSink::write_at(next.offset, std::move(next.data));
    }
    next.data = Slice();  // the buffer goes back before anybody is told
    std::lock_guard lock(queue_mutex_);
    failed_ = failed_ || bad;
    busy_ = false;
  }

  const size_t fail_at_;
  size_t done_ = 0;
  std::mutex queue_mutex_;
  std::vector<Waiting> queue_;
  std::atomic<bool> busy_ = false;
  bool failed_ = false;
  std::jthread worker_;
};

}  // namespace vmferry::test
