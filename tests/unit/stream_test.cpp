// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/test_sinks.h"
#include "vmferry/copy.h"
#include "vmferry/stream.h"
#include "vmferry/target.h"
#include "vmferry/transfer.h"

namespace vmferry::test {
namespace {

constexpr SinkTraits kNewStreamed = {
    .write_size = 1 << 20, .zero_granularity = 4096, .starts_zeroed = true};
constexpr SinkTraits kInOrder = {
    .write_size = 1 << 20, .zero_granularity = 4096, .starts_zeroed = false, .in_order = true};
constexpr uint64_t kMebibyte = 1 << 20;

/// The bytes of a picture, and nothing of how many they are.
class PictureStream : public ByteStream {
 public:
  explicit PictureStream(const std::string& picture)
      : stream_(stream_of(std::make_shared<PictureSource>(picture))) {}

  const std::string& name() const override { return stream_->name(); }
  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    const size_t got = stream_->read(out, stop);
    read_bytes += got;
    if (read_bytes > fail_at) {
      throw Error({.kind = ErrorKind::kIo, .object = "picture", .action = {}, .cause = "made to"});
    }
    return got;
  }

  uint64_t fail_at = UINT64_MAX;
  uint64_t read_bytes = 0;

 private:
  const std::unique_ptr<ByteStream> stream_;
};

/// Has no room but what it is told to have.
class GrowingSink : public RecordingSink {
 public:
  explicit GrowingSink(SinkTraits traits = kNewStreamed) : RecordingSink(0, traits) {}
  void grow(uint64_t size) override {
    std::lock_guard lock(mutex_);
    if (size > bytes_.size()) {
      bytes_.resize(std::max<uint64_t>(size, bytes_.size() * 2));
    }
  }
  void set_size(uint64_t size) override {
    std::lock_guard lock(mutex_);
    bytes_.resize(size);
    sizes.push_back(size);
  }
  std::vector<uint64_t> sizes;
};

/// Fails the test unless it is given all bytes in order.
class OrderedSink : public RecordingSink {
 public:
  explicit OrderedSink(uint64_t size, uint64_t fail_at = UINT64_MAX)
      : RecordingSink(size, kInOrder), fail_at_(fail_at) {}
  uint64_t at() const { return at_; }

 protected:
  void note(char what, uint64_t offset, uint64_t length) override {
    if (offset != at_) {
      throw std::logic_error("out of order");
    }
    if (offset + length > fail_at_) {
      throw Error({.kind = ErrorKind::kIo, .object = "ordered", .action = {}, .cause = "made to"});
    }
    RecordingSink::note(what, offset, length);
    at_ += length;
  }

 private:
  const uint64_t fail_at_;
  uint64_t at_ = 0;
};

/// The earlier a byte lies, the longer it takes to read.
class SlowStart : public PictureSource {
 public:
  using PictureSource::PictureSource;
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    if (offset < 8 * kMebibyte) {
      std::this_thread::sleep_for(std::chrono::milliseconds(40 - 5 * (offset / kMebibyte)));
    }
    PictureSource::read_at(offset, out);
  }
};

std::string copied_digest(const std::string& picture) {
  PictureSource source(picture);
  DiskDigest digest(source.size());
  RecordingSink sink(source.size(), kNewStreamed);
  Progress progress;
  copy(source, sink, {.digest = &digest}, progress);
  return digest.text();
}

/// What is read back of it is a picture, with another byte at 5 MiB if it damages what it is given.
class ReadBackSink : public GrowingSink {
 public:
  std::unique_ptr<Source> read_back() override {
    auto disk = std::make_unique<PictureSource>(picture);
    if (damages) {
      disk->bytes()[5 * kMebibyte] = std::byte{'X'};
    }
    return disk;
  }
  std::string picture;
  bool damages = false;
};

class GrowingTarget : public Target {
 public:
  GrowingTarget(const std::string& picture, bool damages) {
    sink_.picture = picture;
    sink_.damages = damages;
  }
  Sink& sink() override { return sink_; }
  void publish() override { published = true; }
  bool published = false;

 private:
  ReadBackSink sink_;
};

}  // namespace

TEST_CASE("a stream of a size that nobody knows is copied to the byte, without its zeros") {
  for (const char* picture : {"1B:A", "4M:A", "4M:A 1B:B", "64K:A 9M:0 3B:B", "8M:A 4097B:0",
                              "9M:0", "13M:A 1M:0 5M:B"}) {
    PictureSource whole(picture);
    for (const unsigned jobs : {1u, 8u}) {
      PictureStream stream(picture);
      GrowingSink sink;
      DiskDigest digest(0);
      Progress progress;
      const CopyResult result = copy(stream, sink, {.jobs = jobs, .digest = &digest}, progress);
      CHECK(sink.flushed);
      CHECK(same_bytes(sink.bytes(), whole.bytes()));
      CHECK(sink.sizes == std::vector<uint64_t>{whole.size()});
      CHECK(result.virtual_bytes == whole.size());
      CHECK(result.written_bytes + result.zero_bytes == whole.size());
      CHECK(digest.text() == copied_digest(picture));
    }
  }
}

TEST_CASE("what of a stream is zero becomes a zeroed range on a target that does not start so") {
  PictureStream stream("64K:A 5M:0 64K:B");
  GrowingSink sink({.write_size = 1 << 20, .zero_granularity = 4096, .starts_zeroed = false});
  Progress progress;
  copy(stream, sink, {}, progress);
  CHECK(sink.calls() == std::vector<Call>{{'W', 0, 64 << 10},
                                          {'Z', 64 << 10, 4 * kMebibyte - (64 << 10)},
                                          {'Z', 4 * kMebibyte, kMebibyte + (64 << 10)},
                                          {'W', 5 * kMebibyte + (64 << 10), 64 << 10}});
}

TEST_CASE("a stream is as long as it was said to be, or an error names the byte") {
  const auto copied = [](const std::string& picture, uint64_t size) {
    const auto stream = expect_size(std::make_unique<PictureStream>(picture), size);
    RecordingSink sink(size, kNewStreamed);
    Progress progress;
    return copy(*stream, sink, {}, progress).virtual_bytes;
  };
  CHECK(copied("5M:A", 5 * kMebibyte) == 5 * kMebibyte);
  CHECK(copied("8M:A", 8 * kMebibyte) == 8 * kMebibyte);
  CHECK_THROWS_WITH(copied("8M:A", 8 * kMebibyte - 1), Contains("at 8388607: it goes on here"));
  CHECK_THROWS_WITH(copied("8M:A 1B:0", 8 * kMebibyte), Contains("at 8 MiB: it goes on here"));
  CHECK_THROWS_WITH(copied("8M:A", 8 * kMebibyte + 1), Contains("at 8 MiB: it ends here"));
  CHECK_THROWS_WITH(copied("3B:A", 8 * kMebibyte), Contains("at 3: it ends here"));
  CHECK_THROWS_WITH(copied("", 1), Contains("at 0: it ends here"));
}

TEST_CASE("an empty stream is an error, as is one that breaks or a sink that fails") {
  Progress progress;
  PictureStream empty("");
  GrowingSink sink;
  CHECK_THROWS_WITH(copy(empty, sink, {}, progress), Contains("not one byte"));
  CHECK_FALSE(sink.flushed);
  PictureStream breaks("40M:A");
  breaks.fail_at = 20 * kMebibyte;
  CHECK_THROWS_WITH(copy(breaks, sink, {}, progress), Contains("made to"));
  PictureStream whole("40M:A");
  FaultySink faulty(40 * kMebibyte, kNewStreamed, 7);
  const auto sized = expect_size(std::make_unique<PictureStream>("40M:A"), 40 * kMebibyte);
  CHECK_THROWS_WITH(copy(*sized, faulty, {}, progress), Contains("made to"));
  // What cannot grow says so before it was given anything.
  RecordingSink fixed(40 * kMebibyte, kNewStreamed);
  CHECK_THROWS_WITH(copy(whole, fixed, {}, progress), Contains("size of such a target"));
  CHECK(fixed.calls().empty());
}

TEST_CASE("a stream is copied by a sink that is late, within its memory") {
  const auto stream =
      expect_size(std::make_unique<PictureStream>("50M:A 3M:0 7B:B"), 53 * kMebibyte + 7);
  PictureSource whole("50M:A 3M:0 7B:B");
  LateSink sink(whole.size(), kNewStreamed);
  Progress progress;
  copy(*stream, sink, {.jobs = 16, .memory = 1}, progress);
  CHECK(same_bytes(sink.bytes(), whole.bytes()));
}

TEST_CASE("a stream target gets every byte in order, however many read and however little memory") {
  for (const char* picture :
       {"", "1B:A", "17M:A", "3M:A 12M:- 5M:B 1M:0 3B:C", "9M:- 1B:A", "9M:-"}) {
    SlowStart source(picture);
    const std::string wanted = copied_digest(picture);
    for (const size_t memory : {size_t{1}, size_t{64} << 20}) {
      for (const unsigned jobs : {1u, 64u}) {
        OrderedSink sink(source.size());
        DiskDigest digest(source.size());
        Progress progress;
        copy(source, sink, {.jobs = jobs, .memory = memory, .digest = &digest}, progress);
        CHECK(sink.at() == source.size());
        CHECK(same_bytes(sink.bytes(), source.bytes()));
        CHECK(digest.text() == wanted);
      }
    }
    CHECK_FALSE(source.hole_was_read);
  }
}

TEST_CASE("a stream goes to a stream target in order") {
  const auto stream =
      expect_size(std::make_unique<PictureStream>("30M:A 9M:0 5B:B"), 39 * kMebibyte + 5);
  OrderedSink sink(39 * kMebibyte + 5);
  Progress progress;
  copy(*stream, sink, {.jobs = 8}, progress);
  CHECK(sink.at() == sink.size());
}

TEST_CASE("a stream target that fails ends the copy") {
  for (const uint64_t fail_at : {uint64_t{1}, 9 * kMebibyte, 39 * kMebibyte}) {
    SlowStart source("40M:A");
    OrderedSink sink(source.size(), fail_at);
    Progress progress;
    CHECK_THROWS_WITH(copy(source, sink, {.jobs = 16, .memory = 1}, progress), Contains("made to"));
    CHECK(sink.at() < fail_at);
  }
}

TEST_CASE("a stream that is transferred is verified by what was read of it") {
  for (const bool damages : {false, true}) {
    const std::string picture = "9M:A 3B:B";
    PictureStream stream(picture);
    GrowingTarget target(picture, damages);
    if (damages) {
      CHECK_THROWS_WITH(transfer(stream, target, {.verify = Verify::kYes}),
                        Contains("verify at 4 MiB: the 4 MiB from there on do not read back"));
      CHECK_FALSE(target.published);
    } else {
      CHECK(transfer(stream, target, {.verify = Verify::kYes}).verified == Verify::kReading);
      CHECK(target.published);
    }
  }
}

}  // namespace vmferry::test
