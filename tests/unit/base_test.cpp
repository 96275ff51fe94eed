// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <numeric>
#include <random>

#include "lib/core/resized_source.h"
#include "lib/transfer/base_sink.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/test_sinks.h"
#include "vmferry/error.h"
#include "vmferry/transfer.h"

namespace vmferry::test {
namespace {

constexpr uint32_t kObject = 256 << 10;

/// Holds a base, as a clone does; one of the size of `base`.
class CloneSink : public RecordingSink {
 public:
  explicit CloneSink(const PictureSource& base)
      : RecordingSink(base.size(), {.write_size = kObject, .zero_granularity = 65536}) {
    base.read_at(0, bytes_);
  }
};

class CloneTarget : public Target {
 public:
  explicit CloneTarget(const PictureSource& disk) : sink_(disk), disk_(disk) {}
  CloneSink& sink() override { return sink_; }
  void publish() override { published = true; }
  std::optional<TargetBase> base() const override { return TargetBase{&disk_, kObject}; }
  bool published = false;

 private:
  CloneSink sink_;
  const PictureSource& disk_;
};

/// A picture over another one: where it has '.', that shows through.
class OverlayPicture : public MemorySource, public Layout {
 public:
  /// `own`: which pieces of 64 KiB are its own.
  OverlayPicture(std::vector<std::byte> bytes, std::vector<bool> own)
      : MemorySource(std::move(bytes)), own_(std::move(own)) {
    log_reads = true;
  }
  void map(uint64_t offset, uint64_t length, const MapVisitor& visit) const override {
    for (const uint64_t end = offset + length; offset < end;) {
      const uint64_t next = std::min(end, (offset / 65536 + 1) * 65536);
      visit({.offset = offset,
             .length = next - offset,
             .kind = MappedKind::kData,
             .is_present = true,
             .depth = own_[offset / 65536] ? 0U : 1U});
      offset = next;
    }
  }

 private:
  const std::vector<bool> own_;
};

bool holds(CloneTarget& target, const Source& disk) {
  std::vector<std::byte> bytes(disk.size());
  disk.read_at(0, bytes);
  return same_bytes(target.sink().bytes(), bytes);
}

}  // namespace

TEST_CASE("only objects that differ from the base are written") {
  const PictureSource base("256K:A 256K:B 256K:C 256K:- 100K:E");
  const PictureSource disk("256K:A 128K:B 128K:X 256K:C 64K:- 64K:Y 128K:- 100K:E");
  CloneTarget target(base);
  const TransferResult result = transfer(disk, target);
  CHECK(target.published);
  CHECK(holds(target, disk));
  // A whole object; and where the base has nothing, what is there.
  CHECK(target.sink().calls() ==
        std::vector<Call>{{'W', kObject, kObject}, {'W', 3 * kObject + 65536, 65536}});
  CHECK(result.written_bytes == kObject + 65536);
  CHECK(result.base_bytes == 2 * kObject + 102400);
  CHECK(result.written_bytes + result.base_bytes + result.zero_bytes == disk.size());
}

TEST_CASE("zeros over data of the base are written, in any form") {
  const PictureSource base("256K:A 256K:B 256K:C 256K:D 256K:- 100K:E");
  // A hole, stored zeros, and zeros beside data; the base has none in the fifth.
  const PictureSource disk("256K:- 256K:0 128K:0 128K:C 256K:D 256K:0 100K:-");
  CloneTarget target(base);
  const TransferResult result = transfer(disk, target);
  CHECK(holds(target, disk));
  CHECK(target.sink().calls().back() == Call{'Z', uint64_t{5} * kObject, 102400});
  const std::vector<Call> calls = target.sink().calls();
  CHECK(std::none_of(calls.begin(), calls.end(),
                     [](const Call& call) { return call.offset / kObject == 4; }));
  // The block with zeros in it is empty before its data comes.
  std::vector<Call> third;
  for (const Call& call : target.sink().calls()) {
    if (call.offset / kObject == 2) {
      third.push_back(call);
    }
  }
  CHECK(third ==
        std::vector<Call>{{'Z', 2 * kObject, kObject}, {'W', 2 * kObject + 131072, 131072}});
  CHECK(result.written_bytes == 131072);
  CHECK(result.base_bytes == kObject);
}

TEST_CASE("what comes from the base by the image's own word is not read") {
  std::vector<std::byte> below(5 * kObject);
  std::mt19937 random(3);
  std::generate(below.begin(), below.end(), [&] { return std::byte(random()); });
  std::string picture = "1280K:A";
  PictureSource base(picture);
  base.bytes() = below;
  std::vector<std::byte> bytes = below;
  std::vector<bool> own(bytes.size() / 65536, false);
  own[5] = own[19] = true;
  std::fill_n(bytes.begin() + 5 * 65536, 65536, std::byte{'X'});
  std::fill_n(bytes.begin() + 19 * 65536, 65536, std::byte{0});
  const OverlayPicture overlay(bytes, own);
  CloneTarget target(base);
  const TransferResult result = transfer(overlay, target, {.jobs = 1, .base_depth = 1});
  std::vector<MemorySource::Range> reads = overlay.read_ranges;
  CHECK(holds(target, overlay));
  std::sort(reads.begin(), reads.end());
  CHECK(reads == std::vector<MemorySource::Range>{{kObject, kObject}, {4 * kObject, kObject}});
  CHECK(result.base_bytes == 3 * kObject);
  CHECK(result.written_bytes == 2 * kObject - 65536);

  // A digest is of the whole disk.
  CloneTarget again(base);
  DiskDigest digest(overlay.size());
  transfer(overlay, again, {.digest = &digest, .base_depth = 1});
  CHECK(holds(again, overlay));
  DiskDigest plain(overlay.size());
  RecordingSink anywhere(overlay.size(), {.starts_zeroed = true});
  Progress counters;
  copy(overlay, anywhere, {.digest = &plain}, counters);
  CHECK(digest.text() == plain.text());
}

TEST_CASE("layers are told apart in whole blocks") {
  std::vector<bool> own(16 * 40, false);  // 40 MiB
  own[0] = own[37] = own[16 * 39 + 15] = true;
  const OverlayPicture overlay(std::vector<std::byte>(own.size() * 65536), own);
  const DepthChanges changes(overlay, overlay.size(), 1, kObject);
  uint64_t differing = 0;
  std::vector<Extent> runs;
  for (uint64_t at = 0; at < overlay.size();) {
    const Changes::Run run = changes.run_at(at, overlay.size() - at);
    REQUIRE(run.length > 0);
    runs.push_back({at, run.length, run.may_differ ? ExtentKind::kData : ExtentKind::kZero});
    differing += run.may_differ ? run.length : 0;
    at += run.length;
  }
  CHECK(runs.size() == 5);
  CHECK(differing == 3 * kObject);
  CHECK(runs[2].offset == 9 * kObject);
  // From within a block, and not beyond what was asked for.
  CHECK(changes.run_at(38 * 65536 + 1, 100).may_differ);
  CHECK(changes.run_at(38 * 65536 + 1, 100).length == 100);
  CHECK(changes.run_at(kObject + 1, 4096).length == 4096);
  CHECK_FALSE(changes.run_at(kObject + 1, 4096).may_differ);
}

TEST_CASE("a disk of another size is cut, or goes on with zeros") {
  const ResizedSource shorter(std::make_unique<PictureSource>("64K:A 64K:B"), 70000);
  CHECK(shorter.size() == 70000);
  std::vector<std::byte> bytes(70000);
  shorter.read_at(0, bytes);
  CHECK(bytes.back() == std::byte{'B'});
  const ResizedSource longer(std::make_unique<PictureSource>("64K:A 64K:B"), 200000);
  bytes.assign(200000, std::byte{'x'});
  longer.read_at(0, bytes);
  CHECK(bytes[131071] == std::byte{'B'});
  CHECK(std::all_of(bytes.begin() + 131072, bytes.end(),
                    [](std::byte b) { return b == std::byte{0}; }));
  CHECK(longer.extent_at(65536, 134464).length == 65536);
  CHECK(longer.extent_at(131072, 1000).is_zero());
  bytes.assign(10, std::byte{'x'});
  longer.read_at(150000, bytes);
  CHECK(bytes.front() == std::byte{0});
}

TEST_CASE("random disks over random bases") {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    const auto picture = [&] {
      std::string words;
      uint64_t left = 1900;  // in KiB
      while (left > 0) {
        const uint64_t length = std::min<uint64_t>(left, 20 * (1 + random() % 30));
        words += std::to_string(length) + "K:" + "AAB0-"[random() % 5] + " ";
        left -= length;
      }
      return words;
    };
    const PictureSource base(picture());
    const PictureSource disk(picture());
    CloneTarget target(base);
    const TransferResult result = transfer(disk, target);
    INFO(round);
    CHECK(holds(target, disk));
    CHECK(result.written_bytes + result.base_bytes + result.zero_bytes == disk.size());
  }
}

TEST_CASE("a stream has no base") {
  class OneStream : public ByteStream {
   public:
    const std::string& name() const override { return name_; }
    std::optional<uint64_t> size() const override { return 262144; }
    size_t read(std::span<std::byte> /*out*/, const std::stop_token& /*stop*/) override {
      return 0;
    }

   private:
    const std::string name_ = "stream";
  };
  const PictureSource base("256K:A");
  CloneTarget target(base);
  OneStream stream;
  CHECK_THROWS_AS(transfer(stream, target), Error);
  CHECK(target.sink().calls().empty());
}

}  // namespace vmferry::test
