// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/copy_breaks.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "lib/transfer/break_source.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/test_sinks.h"
#include "vmferry/error.h"
#include "vmferry/transfer.h"

namespace vmferry::test {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kPieceOfCopy = 65536;
constexpr uint64_t kBytes = 96 * kPieceOfCopy;

/// The disk of a guest that somebody else changes. What is open when that happens tells.
class ChangingDisk {
 public:
  ChangingDisk() : bytes(kBytes, std::byte{7}) {}

  class Opened : public MemorySource {
   public:
    Opened(ChangingDisk& disk) : MemorySource(disk.bytes), disk_(disk) { ++disk_.open; }
    ~Opened() override { --disk_.open; }
    void read_at(uint64_t offset, std::span<std::byte> out) const override {
      std::this_thread::sleep_for(disk_.slow);
      if (disk_.fails) {
        throw Error({.kind = ErrorKind::kIo, .object = "disk", .action = "read", .cause = "bad"});
      }
      MemorySource::read_at(offset, out);
    }

   private:
    ChangingDisk& disk_;
  };

  /// A piece of it is all of one byte now.
  ByteRanges change(uint64_t piece, std::byte byte) {
    CHECK(open == 0);
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(piece * kPieceOfCopy), kPieceOfCopy,
                byte);
    ByteRanges changed;
    changed.add(piece * kPieceOfCopy, kPieceOfCopy);
    return changed;
  }

  std::vector<std::byte> bytes;
  std::atomic<int> open = 0;
  std::atomic<bool> fails = false;
  std::chrono::milliseconds slow{1};
};

class NamedTarget : public Target {
 public:
  class ReadableSink : public RecordingSink {
   public:
    ReadableSink()
        : RecordingSink(kBytes, {.zero_granularity = kPieceOfCopy, .starts_zeroed = true}) {}
    std::unique_ptr<Source> read_back() override {
      if (before_reading_back) {
        before_reading_back();
      }
      const std::lock_guard lock(mutex_);
      if (spoil) {
        bytes_[*spoil] ^= std::byte{1};
      }
      return std::make_unique<MemorySource>(bytes_);
    }
    std::optional<size_t> spoil;
    std::function<void()> before_reading_back;
  };
  Sink& sink() override { return written; }
  void publish() override { named = true; }
  ReadableSink written;
  bool named = false;
};

/// A copy of a disk with breaks, in a thread of its own.
struct BreakRig {
  ~BreakRig() { stop.request_stop(); }
  void start() {
    copied = std::async(std::launch::async, [this] {
      const BreakSource source(
          breaks, [this] { return std::make_unique<ChangingDisk::Opened>(disk); },
          stop.get_token());
      return transfer(source, target,
                      {.jobs = 3,
                       .memory = 1 << 20,
                       .verify = Verify::kYes,
                       .breaks = &breaks,
                       .stop = stop.get_token()});
    });
  }
  /// Answers false: the copy has ended.
  bool begin() {
    while (!breaks.begin(1s)) {
      if (copied.wait_for(0s) == std::future_status::ready) {
        return false;
      }
    }
    return true;
  }

  ChangingDisk disk;
  NamedTarget target;
  CopyBreaks breaks;
  std::stop_source stop;
  std::future<TransferResult> copied;
};

}  // namespace

TEST_CASE("a copy with breaks has what the disk holds in the end", "[breaks]") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    BreakRig rig;
    rig.start();
    unsigned breaks = 0;
    while (breaks < 12 && rig.begin()) {
      const auto byte = static_cast<std::byte>(random() % 3);  // often zeros
      ByteRanges changed = rig.disk.change(random() % 96, byte);
      changed.add(rig.disk.change(random() % 96, std::byte{9}));
      CHECK_FALSE(rig.target.named);
      rig.breaks.end(changed);
      ++breaks;
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 4));
    }
    rig.copied.get();
    INFO("seed " << seed << ", " << breaks << " breaks");
    CHECK(breaks > 0);
    CHECK(rig.target.named);
    CHECK(rig.breaks.changed_bytes() == 0);
    CHECK(rig.target.written.bytes() == rig.disk.bytes);
    CHECK(rig.disk.open == 0);
  }
}

TEST_CASE("between two breaks the copy goes on, however late it is", "[breaks]") {
  ChangingDisk disk;
  CopyBreaks breaks;
  breaks.attach([&] { return std::make_unique<ChangingDisk::Opened>(disk); }, {});
  REQUIRE_FALSE(breaks.begin(1ms));  // it waits for something else yet
  std::promise<void> first;
  auto reader = std::async(std::launch::async, [&] {
    { const CopyBreaks::Reading reading(breaks); }
    first.set_value();
    std::this_thread::sleep_for(100ms);
    const CopyBreaks::Reading reading(breaks);
  });
  first.get_future().wait();
  REQUIRE(breaks.begin(10s));
  breaks.end(ByteRanges());
  REQUIRE(breaks.begin(10s));
  CHECK(breaks.reads() == 2);
  breaks.end(ByteRanges());
  reader.get();
  REQUIRE(breaks.begin(1ms));  // and a copy that stands still by itself is asked in the end
  breaks.end(ByteRanges());
  breaks.detach();
}

TEST_CASE("a copy in a break ends when it is given up, or stopped", "[breaks]") {
  for (const bool gives_up : {true, false}) {
    BreakRig rig;
    rig.start();
    REQUIRE(rig.begin());
    if (gives_up) {
      rig.breaks.give_up();
    } else {
      rig.stop.request_stop();
    }
    try {
      rig.copied.get();
      FAIL("it was copied");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kCancelled);
    }
    CHECK_FALSE(rig.target.named);
  }
}

TEST_CASE("a break comes only while there is a copy", "[breaks]") {
  BreakRig rig;
  CHECK_FALSE(rig.breaks.begin(0ms));
  rig.start();
  rig.copied.wait();
  CHECK_FALSE(rig.breaks.begin(0ms));
  CHECK(rig.target.written.bytes() == rig.disk.bytes);
}

TEST_CASE("a copy that writes wrong bytes in its last pass gets no name", "[breaks]") {
  BreakRig rig;
  rig.start();
  REQUIRE(rig.begin());
  rig.target.written.spoil = 5 * kPieceOfCopy + 1;
  rig.breaks.end(rig.disk.change(5, std::byte{4}));
  CHECK_THROWS_AS(rig.copied.get(), Error);
  CHECK_FALSE(rig.target.named);
}

TEST_CASE("a disk that cannot be opened again ends its copy", "[breaks]") {
  BreakRig rig;
  rig.start();
  REQUIRE(rig.begin());
  rig.disk.fails = true;
  rig.breaks.end(ByteRanges());
  CHECK_THROWS_AS(rig.copied.get(), Error);
  CHECK_FALSE(rig.target.named);
}

TEST_CASE("a disk that was resized in a break is no copy's any more", "[breaks]") {
  BreakRig rig;
  rig.start();
  REQUIRE(rig.begin());
  rig.disk.bytes.resize(kBytes + kPieceOfCopy);
  rig.breaks.end(ByteRanges());
  try {
    rig.copied.get();
    FAIL("it was copied");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConflict);
  }
  CHECK_FALSE(rig.target.named);
}

TEST_CASE("a copy that never catches up ends", "[breaks]") {
  BreakRig rig;
  rig.disk.slow = 0ms;
  unsigned breaks = 0;
  rig.target.written.before_reading_back = [&] {  // in each pass
    REQUIRE(rig.breaks.begin(10s));
    rig.breaks.end(rig.disk.change(breaks++ % 96, std::byte{1}));
  };
  rig.start();
  try {
    rig.copied.get();
    FAIL("it was copied, after " << breaks << " breaks");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("faster than it is copied") != std::string::npos);
  }
  CHECK_FALSE(rig.target.named);
}

}  // namespace vmferry::test
