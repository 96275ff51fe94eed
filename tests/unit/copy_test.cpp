// SPDX-License-Identifier: LGPL-2.1-or-later
#include <atomic>
#include <random>
#include <thread>

#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/test_sinks.h"
#include "vmferry/copy.h"

namespace vmferry::test {
namespace {

constexpr uint64_t K = 1024;
constexpr uint64_t M = 1024 * K;
constexpr SinkTraits kFresh = {
    .write_size = 1 << 20, .zero_granularity = 4096, .starts_zeroed = true};
constexpr SinkTraits kUsed = {
    .write_size = 1 << 20, .zero_granularity = 4096, .starts_zeroed = false};
constexpr SinkTraits kObjects = {
    .write_size = 4 << 20, .zero_granularity = 65536, .starts_zeroed = true};

/// Much should be read of it at once.
class FarAwaySource : public MemorySource {
 public:
  using MemorySource::MemorySource;
  uint64_t preferred_read() const override { return 2 * M; }
};

std::vector<Call> calls_of(const std::string& picture, SinkTraits traits) {
  PictureSource source(picture);
  RecordingSink sink(source.size(), traits);
  Progress progress;
  copy(source, sink, {}, progress);
  CHECK(sink.flushed);
  CHECK(same_bytes(sink.bytes(), source.bytes()));
  CHECK_FALSE(source.hole_was_read);
  return sink.calls();
}

}  // namespace

TEST_CASE("zeros in data and holes are not written to a target that starts zeroed") {
  CHECK(calls_of("64K:A 64K:0 1M:- 4K:B", kFresh) ==
        std::vector<Call>{{'W', 0, 64 * K}, {'W', M + 128 * K, 4 * K}});
  CHECK(calls_of("16M:0", kFresh).empty());
  CHECK(calls_of("16M:-", kFresh).empty());
}

TEST_CASE("zeros become zeroed ranges on a target that does not start zeroed") {
  CHECK(calls_of("64K:A 64K:0 128K:-", kUsed) ==
        std::vector<Call>{{'W', 0, 64 * K}, {'Z', 64 * K, 192 * K}});
  CHECK(calls_of("1M:0 64K:- 2M:0 4K:A 4K:0 4K:B", kUsed) ==
        std::vector<Call>{{'Z', 0, 3 * M + 64 * K},
                          {'W', 3 * M + 64 * K, 4 * K},
                          {'Z', 3 * M + 68 * K, 4 * K},
                          {'W', 3 * M + 72 * K, 4 * K}});
  CHECK(calls_of("8M:-", kUsed) == std::vector<Call>{{'Z', 0, 8 * M}});
}

TEST_CASE("writes are merged up to the sink's write size and cut at its multiples") {
  CHECK(calls_of("4M:A 4M:B", kObjects) == std::vector<Call>{{'W', 0, 4 * M}, {'W', 4 * M, 4 * M}});
  CHECK(calls_of("64K:A 64K:B 64K:C 3904K:D 64K:E", kObjects) ==
        std::vector<Call>{{'W', 0, 4 * M}, {'W', 4 * M, 64 * K}});
}

TEST_CASE("a gap shorter than the sink's granularity is written with its neighbours") {
  CHECK(calls_of("64K:A 4K:- 60K:B", kObjects) == std::vector<Call>{{'W', 0, 128 * K}});
  CHECK(calls_of("64K:A 64K:- 64K:B", kObjects) ==
        std::vector<Call>{{'W', 0, 64 * K}, {'W', 128 * K, 64 * K}});
}

TEST_CASE("zeros that do not fill a unit of the sink are written with the data beside them") {
  constexpr SinkTraits kClusters = {
      .write_size = 1 << 20, .zero_granularity = 65536, .write_unit = 65536, .starts_zeroed = true};
  CHECK(calls_of("64K:- 1B:A 65535B:-", kClusters) == std::vector<Call>{{'W', 64 * K, 64 * K}});
  CHECK(calls_of("64K:A 4K:- 200K:- 4K:B", kClusters) ==
        std::vector<Call>{{'W', 0, 64 * K}, {'W', 256 * K, 16 * K}});
  CHECK(calls_of("5000B:A 8M:- 5000B:B", kClusters) ==
        std::vector<Call>{{'W', 0, 64 * K}, {'W', 8 * M, 10000}});
  constexpr SinkTraits kLarge = {.write_size = 2 << 20,
                                 .zero_granularity = 2 << 20,
                                 .write_unit = 2 << 20,
                                 .starts_zeroed = true};
  PictureSource source("1M:- 4K:A 6M:- 4K:B");
  RecordingSink sink(source.size(), kLarge);
  Progress progress;
  copy(source, sink, {}, progress);
  CHECK(sink.calls() == std::vector<Call>{{'W', 0, 2 * M}, {'W', 6 * M, M + 8 * K}});
  CHECK(same_bytes(sink.bytes(), source.bytes()));
}

TEST_CASE("sizes that are not multiples of anything are copied to the byte") {
  CHECK(calls_of("1B:A", kFresh) == std::vector<Call>{{'W', 0, 1}});
  CHECK(calls_of("4097B:A 3B:-", kFresh) == std::vector<Call>{{'W', 0, 4097}});
  PictureSource nothing("");
  RecordingSink sink(0, kFresh);
  Progress progress;
  CHECK(copy(nothing, sink, {}, progress).virtual_bytes == 0);
  CHECK(sink.calls().empty());
}

TEST_CASE("zeros among data leave their place to what comes next") {
  CHECK(calls_of("300K:0 100K:A 700K:0 1M:B 3M:0 64K:C", kObjects) ==
        std::vector<Call>{
            {'W', 256 * K, 192 * K}, {'W', 1088 * K, 1088 * K}, {'W', 5184 * K, 76 * K}});
  PictureSource source("1M:0 64K:A 2M:0");
  RecordingSink sink(source.size(), kFresh);
  Progress progress;
  const CopyResult result = copy(source, sink, {}, progress);
  CHECK(sink.calls() == std::vector<Call>{{'W', M, 64 * K}});
  CHECK(result.written_bytes == 64 * K);
  CHECK(result.zero_bytes == 3 * M);
  CHECK(result.read_bytes == source.size());
}

TEST_CASE("of a source that is far away much is read at once, with holes that are short") {
  using Ranges = std::vector<MemorySource::Range>;
  for (const auto& [hole, reads] :
       {std::pair(100 * K, Ranges{{0, 2 * M}, {2 * M, 2 * M}, {4 * M, M}}),
        std::pair(256 * K, Ranges{{0, M}, {1280 * K, 768 * K}, {2 * M, 2 * M}, {4 * M, M}})}) {
    CAPTURE(hole);
    FarAwaySource source(std::vector<std::byte>(5 * M, std::byte{'A'}));
    source.hole = {M, hole};
    std::fill_n(source.bytes().begin() + M, hole, std::byte{0});
    source.log_reads = true;
    RecordingSink sink(source.size(), kFresh);
    Progress progress;
    const CopyResult result = copy(source, sink, {.jobs = 1}, progress);
    CHECK(source.read_ranges == reads);
    CHECK(result.read_bytes == 5 * M - hole);
    CHECK(result.written_bytes == 5 * M - hole);
    CHECK(same_bytes(sink.bytes(), source.bytes()));
  }
}

TEST_CASE("progress adds up to what the source calls data") {
  PictureSource source("3M:A 5M:- 1M:0 7K:B");
  RecordingSink sink(source.size(), kFresh);
  Progress progress;
  measure(source, {}, progress);
  CHECK(progress.total_known);
  copy(source, sink, {}, progress);
  CHECK(progress.data_done == progress.data_total);
  CHECK(progress.data_total == 4 * M + 7 * K);
}

TEST_CASE("every failing call of the sink ends the copy with that error") {
  const std::string picture = "1M:A 64K:- 1M:B 1M:0 3M:C";
  PictureSource source(picture);
  RecordingSink whole(source.size(), kUsed);
  Progress progress;
  copy(source, whole, {}, progress);
  const size_t calls = whole.calls().size();
  REQUIRE(calls > 5);
  for (size_t k = 0; k < calls; ++k) {
    FaultySink sink(source.size(), kUsed, k);
    Progress ignored;
    CHECK_THROWS_WITH(copy(source, sink, {.jobs = 3}, ignored), Contains("made to"));
    CHECK_FALSE(sink.flushed);
  }
}

TEST_CASE("a sink that writes late and out of order gets the same bytes") {
  PictureSource source("3M:A 1M:- 2M:B 512K:0 5M:C 17K:D");
  LateSink sink(source.size(), kFresh);
  Progress progress;
  copy(source, sink, {.jobs = 4, .memory = 2 * M}, progress);
  CHECK(same_bytes(sink.bytes(), source.bytes()));
}

TEST_CASE("a late write that fails is never taken for success") {
  PictureSource source("9M:A");
  for (size_t k = 0; k < 9; ++k) {
    LateSink sink(source.size(), kFresh, k);
    Progress progress;
    CHECK_THROWS_WITH(copy(source, sink, {}, progress), Contains("made to"));
  }
}

TEST_CASE("a stopped copy throws cancelled and does not flush") {
  PictureSource source("8M:A");
  RecordingSink sink(source.size(), kFresh);
  std::stop_source stop;
  stop.request_stop();
  Progress progress;
  try {
    copy(source, sink, {.stop = stop.get_token()}, progress);
    FAIL("not stopped");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kCancelled);
  }
  CHECK_FALSE(sink.flushed);
}

TEST_CASE("random disks are copied alike, whatever the buffers") {
  std::mt19937 random(2024);
  for (int round = 0; round < 60; ++round) {
    std::string picture;
    for (int i = 0; i < 12; ++i) {
      const uint64_t length = 1 + random() % (random() % 3 == 0 ? 3000000 : 70000);
      picture += std::to_string(length) + "B:" + "A0-Z"[random() % 4] + " ";
    }
    PictureSource source(picture);
    const SinkTraits traits = {.write_size = 4096u << (random() % 11),
                               .zero_granularity = 512u << (random() % 9),
                               .starts_zeroed = random() % 2 == 0};
    RecordingSink sink(source.size(), traits);
    Progress progress;
    const CopyOptions options = {.jobs = 1 + static_cast<unsigned>(random() % 5),
                                 .memory = 1 + random() % (8 * M)};
    copy(source, sink, options, progress);
    INFO(picture);
    REQUIRE(same_bytes(sink.bytes(), source.bytes()));
    for (const Call& call : sink.calls()) {
      const bool crosses =
          call.offset / traits.write_size != (call.offset + call.length - 1) / traits.write_size;
      if (call.what == 'W') {
        REQUIRE_FALSE(crosses);
      }
    }
  }
}

TEST_CASE("the rate limit holds, and a stop ends its wait") {
  PictureSource source("3M:A");
  RecordingSink sink(source.size(), kFresh);
  const auto start = std::chrono::steady_clock::now();
  const auto limited = limit_rate(sink, 10 * M, {});
  Progress progress;
  copy(source, *limited, {}, progress);
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(290));
  CHECK(same_bytes(sink.bytes(), source.bytes()));

  std::stop_source stop;
  const auto slow = limit_rate(sink, 1, stop.get_token());
  std::jthread stopper([&] { stop.request_stop(); });
  CHECK_THROWS_AS(copy(source, *slow, {.stop = stop.get_token()}, progress), Error);
}

TEST_CASE("a rate that changes counts for what waits") {
  PictureSource source("2M:A");
  RecordingSink sink(source.size(), kFresh);
  std::atomic<uint64_t> rate = 1000;
  std::atomic<unsigned> asked = 0;
  const auto now = [&] {
    ++asked;
    return rate.load();
  };
  const auto start = std::chrono::steady_clock::now();
  const auto limited = limit_rate(sink, now, {});
  std::jthread changer([&] {
    while (asked == 0) {
      std::this_thread::yield();
    }
    rate = 100 * M;
  });
  Progress progress;
  copy(source, *limited, {}, progress);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  CHECK(same_bytes(sink.bytes(), source.bytes()));

  rate = 0;  // no limit
  const auto free = limit_rate(sink, now, {});
  copy(source, *free, {}, progress);
}

namespace {

/// Keeps the memory of every write, as a store does that does not answer.
class SilentSink : public RecordingSink {
 public:
  using RecordingSink::RecordingSink;
  void write_at(uint64_t, Slice data) override {
    std::lock_guard lock(mutex_);
    kept_.push_back(std::move(data));
  }
  void check_writes() override {
    throw Error({.kind = ErrorKind::kIo, .object = "s", .action = "write", .cause = "silence"});
  }

 private:
  std::vector<Slice> kept_;
};

}  // namespace

TEST_CASE("a copy whose writes never land ends with the sink's word, also at a limited rate") {
  const PictureSource source("16M:A");
  SilentSink sink(source.size(), {.write_size = 1 << 20, .starts_zeroed = true});
  const auto limited = limit_rate(sink, 1 << 30, {});
  for (Sink* each : {static_cast<Sink*>(&sink), limited.get()}) {
    Progress progress;
    CHECK_THROWS_WITH(copy(source, *each, {.jobs = 4, .memory = 2 << 20}, progress),
                      "s: write: silence");
  }
}

}  // namespace vmferry::test
