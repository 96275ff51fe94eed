// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/transfer.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <thread>

#include "lib/core/null_sink.h"
#include "lib/transfer/checkpoints.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/test_sinks.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

/// What was called, in its order.
using Story = std::vector<std::string>;

class ToldSource : public PictureSource {
 public:
  ToldSource(const std::string& picture, Story& story) : PictureSource(picture), story_(story) {}
  void check_unchanged() const override {
    story_.push_back("source checked");
    if (changed) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = "source",
                   .action = {},
                   .cause = "it was changed"});
    }
  }
  void check_still_there() const override { story_.push_back("source looked for"); }
  bool changed = false;

 private:
  Story& story_;
};

/// Reads back what it is told to.
class ToldTarget : public Target {
 public:
  ToldTarget(uint64_t size, std::string reads_back, Story& story)
      : sink_(size, std::move(reads_back)), story_(story) {}
  Sink& sink() override { return sink_; }
  void publish() override { story_.push_back("published"); }
  /// Has checksums then, which say that.
  void set_different(std::vector<uint64_t> blocks) { sink_.different = std::move(blocks); }
  const std::string& asked_about() const { return sink_.asked_about; }

 private:
  class ToldSink : public RecordingSink {
   public:
    ToldSink(uint64_t size, std::string reads_back)
        : RecordingSink(size, {.starts_zeroed = true}), reads_back_(std::move(reads_back)) {}
    std::unique_ptr<Source> read_back() override {
      return std::make_unique<PictureSource>(reads_back_);
    }
    SinkTraits traits() const override {
      return {.starts_zeroed = true, .has_checksums = different.has_value()};
    }
    std::optional<std::vector<uint64_t>> find_different(const DiskDigest& digest,
                                                        Progress& /*counters*/,
                                                        std::stop_token /*stop*/) override {
      asked_about = digest.text();
      return different;
    }
    std::optional<std::vector<uint64_t>> different;
    std::string asked_about;

   private:
    const std::string reads_back_;
  };

  ToldSink sink_;
  Story& story_;
};

class ToldObserver : public Observer {
 public:
  explicit ToldObserver(Story& story) : story_(story) {}
  void phase_began(const std::string& phase, const Progress& /*counters*/,
                   const std::vector<const Source*>& sources) override {
    story_.push_back(phase + " of " + std::to_string(sources.size()));
  }
  void phase_ended() override { story_.emplace_back("ended"); }

 private:
  Story& story_;
};

constexpr const char* kPicture = "64K:A 64K:- 64K:B";

/// Its last block is there once a promise was kept.
class LateEndSource : public MemorySource {
 public:
  LateEndSource(uint64_t size, std::future<void> promised)
      : MemorySource(std::vector<std::byte>(size, std::byte{'A'})),
        promised_(std::move(promised)) {}
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    if (offset == size() - DiskDigest::kBlock &&
        promised_.wait_for(std::chrono::seconds(20)) != std::future_status::ready) {
      throw std::logic_error("nothing was checked early");
    }
    MemorySource::read_at(offset, out);
  }

 private:
  std::future<void> promised_;
};

/// Keeps a promise when it was asked to check early.
class EarlySink : public RecordingSink {
 public:
  EarlySink(uint64_t size, std::promise<void>& checked)
      : RecordingSink(size, {.starts_zeroed = true, .has_checksums = true}), checked_(checked) {}
  void barrier() override { ++barriers; }
  void check_early(std::span<const DiskDigest::Known> blocks, std::stop_token /*stop*/) override {
    for (const DiskDigest::Known& block : blocks) {
      early.push_back(block.index);
    }
    if (barriers == 1 && early.size() == blocks.size()) {
      checked_.set_value();
    }
  }
  std::optional<std::vector<uint64_t>> find_different(const DiskDigest& /*digest*/,
                                                      Progress& /*counters*/,
                                                      std::stop_token /*stop*/) override {
    return std::vector<uint64_t>();
  }
  int barriers = 0;
  std::vector<uint64_t> early;

 private:
  std::promise<void>& checked_;
};

/// Takes a minute.
class SlowSource : public Source {
 public:
  const std::string& name() const override { return name_; }
  uint64_t size() const override { return uint64_t{4} << 30; }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    return {offset, max, ExtentKind::kData};
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    std::fill(out.begin(), out.end(), std::byte{'A'});
    if (offset % DiskDigest::kBlock == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
    }
  }

 private:
  const std::string name_ = "slow";
};

/// Keeps nothing, and cannot make it durable.
class BrokenSink : public NullSink {
 public:
  using NullSink::NullSink;
  SinkTraits traits() const override { return {.starts_zeroed = true, .has_checksums = true}; }
  void barrier() override {
    throw Error(
        {.kind = ErrorKind::kIo, .object = "broken", .action = "flush", .cause = "made to"});
  }
};

class StoredTarget : public Target {
 public:
  explicit StoredTarget(Sink& sink) : sink_(sink) {}
  Sink& sink() override { return sink_; }
  void publish() override {}

 private:
  Sink& sink_;
};

class NotesInMemory : public TargetNotes {
 public:
  std::map<std::string, std::string> read() override { return notes; }
  void write(const std::string& key, const std::string& text) override { notes[key] = text; }
  std::map<std::string, std::string> notes;
};

}  // namespace

TEST_CASE("a transfer copies, verifies, asks the source, and gives the name, in that order") {
  Story story;
  const ToldSource source(kPicture, story);
  ToldTarget target(source.size(), kPicture, story);
  ToldObserver observer(story);
  const TransferResult result = transfer(source, target, {.verify = Verify::kYes}, &observer);
  CHECK(result.written_bytes == 128 << 10);
  CHECK(story ==
        Story{"copy of 1", "ended", "verify of 2", "ended", "source checked", "published"});
}

TEST_CASE("what reads back differently gets no name") {
  Story story;
  const ToldSource source(kPicture, story);
  ToldTarget target(source.size(), "64K:A 64K:- 64K:C", story);
  ToldObserver observer(story);
  CHECK_THROWS_WITH(transfer(source, target, {.verify = Verify::kYes}, &observer),
                    Contains("reads back differently from the source"));
  CHECK(story == Story{"copy of 1", "ended", "verify of 2", "ended", "source checked"});
}

TEST_CASE("a store with checksums is asked for them, and nothing is read again") {
  Story story;
  const ToldSource source(kPicture, story);
  ToldTarget target(source.size(), "192K:-", story);
  target.set_different({});
  ToldObserver observer(story);
  DiskDigest digest(source.size());
  const TransferResult result =
      transfer(source, target, {.verify = Verify::kYes, .digest = &digest}, &observer);
  CHECK(result.verified == Verify::kYes);
  CHECK(target.asked_about() == digest.text());
  CHECK(target.asked_about() != DiskDigest(source.size()).text());
  CHECK(story ==
        Story{"copy of 1", "ended", "verify of 0", "ended", "source checked", "published"});
}

TEST_CASE("what is written is checked while the copy goes on, after a barrier") {
  constexpr size_t kBlock = DiskDigest::kBlock;
  Story story;
  std::promise<void> checked;
  LateEndSource source(2 * kBlock, checked.get_future());
  EarlySink sink(source.size(), checked);
  StoredTarget target(sink);
  const TransferResult result =
      transfer(source, target, {.jobs = 1, .verify = Verify::kYes}, nullptr);
  CHECK(result.verified == Verify::kYes);
  CHECK(sink.barriers == 1);
  CHECK(sink.early == std::vector<uint64_t>{0});
}

TEST_CASE("a barrier that fails beside the copy ends it") {
  const SlowSource source;
  BrokenSink sink(source.size());
  StoredTarget target(sink);
  const auto begin = std::chrono::steady_clock::now();
  CHECK_THROWS_WITH(transfer(source, target, {.jobs = 1, .verify = Verify::kYes}, nullptr),
                    Contains("broken: flush: made to"));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
}

TEST_CASE("what checksums call different is read") {
  for (const bool is_right : {true, false}) {
    Story story;
    const ToldSource source(kPicture, story);
    ToldTarget target(source.size(), is_right ? kPicture : "64K:A 64K:- 64K:C", story);
    target.set_different({0});
    if (is_right) {
      CHECK(transfer(source, target, {.verify = Verify::kYes}).verified == Verify::kReading);
    } else {
      CHECK_THROWS_WITH(transfer(source, target, {.verify = Verify::kYes}),
                        Contains("at 128 KiB: reads back differently"));
    }
    CHECK((story.back() == "published") == is_right);
  }
}

TEST_CASE("reading is what is done if it is asked for") {
  Story story;
  const ToldSource source(kPicture, story);
  ToldTarget target(source.size(), kPicture, story);
  target.set_different({});
  CHECK(transfer(source, target, {.verify = Verify::kReading}).verified == Verify::kReading);
  CHECK(target.asked_about().empty());
}

TEST_CASE("a source that was changed is why, and its copy gets no name") {
  for (const bool verify : {false, true}) {
    Story story;
    ToldSource source(kPicture, story);
    source.changed = true;
    ToldTarget target(source.size(), "192K:-", story);
    CHECK_THROWS_WITH(transfer(source, target, {.verify = verify ? Verify::kYes : Verify::kNo}),
                      Contains("it was changed"));
    CHECK(story == Story{"source checked"});
  }
}

TEST_CASE("a source in use may change, but not go") {
  Story story;
  ToldSource source(kPicture, story);
  source.changed = true;
  ToldTarget target(source.size(), kPicture, story);
  transfer(source, target, {.source_in_use = true});
  CHECK(story == Story{"source looked for", "published"});
}

TEST_CASE("a transfer that is stopped gives no name, and ends its phase") {
  Story story;
  const ToldSource source(kPicture, story);
  ToldTarget target(source.size(), kPicture, story);
  ToldObserver observer(story);
  std::stop_source stop;
  stop.request_stop();
  CHECK_THROWS_AS(transfer(source, target, {.stop = stop.get_token()}, &observer), Error);
  CHECK(story == Story{"copy of 1", "ended"});
}

TEST_CASE("a checkpoint is of one source, and tells of a block") {
  constexpr const char* kStamp = "file 1:2/3, 8388608 bytes";
  NotesInMemory kept;
  CHECK_FALSE(is_checkpoint_of(kStamp, kept.notes));
  DiskDigest digest(2 * DiskDigest::kBlock);
  RecordingSink sink(digest.size(), {.starts_zeroed = true});
  Checkpoints checkpoints(kept, "target", kStamp, digest.size());
  checkpoints.note_changed(digest.take_changed_pieces());
  checkpoints.save(digest, sink);
  CHECK(kept.notes.empty());
  digest.set(1, {.length = 512, .hash = 7});
  checkpoints.note_changed(digest.take_changed_pieces());
  checkpoints.save(digest, sink);
  CHECK(is_checkpoint_of(kStamp, kept.notes));
  CHECK_FALSE(is_checkpoint_of("file 1:2/3, 8388608 bytes, changed", kept.notes));
  CHECK_FALSE(is_checkpoint_of("", kept.notes));
  std::map<std::string, std::string> only_begun = kept.notes;
  std::erase_if(only_begun, [](const auto& note) { return note.first != "vmferry.checkpoint"; });
  CHECK(only_begun.size() == 1);
  CHECK_FALSE(is_checkpoint_of(kStamp, only_begun));
  kept.notes["vmferry.checkpoint"] = R"({"version":2,"source":"file 1:2/3, 8388608 bytes"})";
  CHECK_FALSE(is_checkpoint_of(kStamp, kept.notes));
}

TEST_CASE("a target of another size is refused") {
  Story story;
  const ToldSource source(kPicture, story);
  ToldTarget target(source.size() + 1, kPicture, story);
  CHECK_THROWS_WITH(transfer(source, target), Contains("and the source has 192 KiB"));
  CHECK(story.empty());
}

}  // namespace vmferry::test
