// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/transfer_update.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/kept_states.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/test_sinks.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

constexpr uint64_t kPiece = 65536;
constexpr const char* kMark = "state 0";

/// Lets one of all calls fail, counted from 0.
class Trouble {
 public:
  void come(const char* action) {
    if (seen_++ == fail_at) {
      failed = true;
      throw Error({.kind = ErrorKind::kIo, .object = "fake", .action = action, .cause = "made to"});
    }
  }
  std::optional<uint64_t> fail_at;
  std::atomic<bool> failed = false;

 private:
  std::atomic<uint64_t> seen_ = 0;
};

/// What a guest sees through its layer.
class LayeredDisk : public PictureSource {
 public:
  LayeredDisk(const std::string& picture, Trouble& trouble)
      : PictureSource(picture), trouble_(trouble) {}
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    trouble_.come("read");
    PictureSource::read_at(offset, out);
  }
  void check_unchanged() const override {
    trouble_.come("look at");
    if (gone) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = "fake",
                   .action = "read",
                   .cause = "it was removed"});
    }
  }
  bool gone = false;

 private:
  Trouble& trouble_;
};

/// A letter for each piece: '-' where the layer says nothing.
class LayerChanges : public Changes {
 public:
  LayerChanges(std::string pieces, Trouble& trouble)
      : pieces_(std::move(pieces)), trouble_(trouble) {}
  Run run_at(uint64_t offset, uint64_t max) const override {
    trouble_.come("map");
    return {std::min(max, kPiece - offset % kPiece), pieces_.at(offset / kPiece) != '-'};
  }

 private:
  const std::string pieces_;
  Trouble& trouble_;
};

/// A volume, and what it was at its mark.
class MarkedTarget : public Target {
 public:
  MarkedTarget(const std::string& marked, Trouble& trouble)
      : sink_(PictureSource(marked).bytes(), trouble) {}
  Sink& sink() override { return sink_; }
  void publish() override { FAIL("it has a name already"); }

  class MarkedSink : public RecordingSink {
   public:
    MarkedSink(std::vector<std::byte> marked, Trouble& trouble)
        : RecordingSink(marked.size(), {.zero_granularity = kPiece}),
          marked_(std::move(marked)),
          trouble_(trouble) {
      bytes_ = marked_;
    }
    void write_at(uint64_t offset, Slice data) override {
      trouble_.come("write");
      RecordingSink::write_at(offset, std::move(data));
    }
    void zero_range(uint64_t offset, uint64_t length) override {
      trouble_.come("zero");
      RecordingSink::zero_range(offset, length);
    }
    void flush() override {
      trouble_.come("flush");
      RecordingSink::flush();
    }
    std::unique_ptr<Source> read_back() override {
      trouble_.come("open");
      if (flushed && scribbled && scribbles > 0) {
        --scribbles;
        bytes_.at(*scribbled) ^= std::byte{1};
      }
      if (!keeps) {
        return std::make_unique<MemorySource>(bytes_);
      }
      return std::make_unique<KeptStates>(std::vector{marked_, bytes_}, object);
    }
    /// Somebody else writes to it.
    void scribble(uint64_t at) { bytes_.at(at) ^= std::byte{1}; }

    bool keeps = true;
    uint64_t object = kPiece;           ///< counts as written if a byte of it was
    std::optional<uint64_t> scribbled;  ///< whenever it is opened, once all was written
    unsigned scribbles = 9;             ///< so often

   private:
    const std::vector<std::byte> marked_;
    Trouble& trouble_;
  };
  MarkedSink& volume() { return sink_; }

 private:
  MarkedSink sink_;
};

// Pieces: kept, new, zeros stored, a hole over data, nothing.
constexpr const char* kBefore = "64K:A 64K:B 64K:C 64K:D 64K:-";
constexpr const char* kAfter = "64K:A 64K:X 64K:0 64K:- 64K:-";
constexpr const char* kLayer = "-XZZ-";

struct UpdateRig {
  explicit UpdateRig(const char* before = kBefore, const char* after = kAfter,
                     const char* layer = kLayer)
      : source(after, trouble), changes(layer, trouble), target(before, trouble) {}
  uint64_t run(Verify verify = Verify::kYes, const std::string& mark = kMark) {
    return transfer_update(source, changes, mark, target, {.jobs = 2, .verify = verify});
  }
  bool is_up_to_date() { return same_bytes(target.volume().bytes(), source.bytes()); }

  Trouble trouble;
  LayeredDisk source;
  LayerChanges changes;
  MarkedTarget target;
};

TEST_CASE("an update writes what the layer has, zeros as zeros, and nothing else") {
  UpdateRig rig;
  CHECK(rig.run() == 3 * kPiece);
  CHECK(rig.is_up_to_date());
  CHECK(rig.target.volume().flushed);
  uint64_t written = 0;
  for (const Call& call : rig.target.volume().calls()) {
    CHECK(call.offset >= kPiece);
    CHECK(call.offset + call.length <= 4 * kPiece);
    written += call.what == 'W' ? call.length : 0;
  }
  CHECK(written == kPiece);  // of three
}

TEST_CASE("an update by a layer that has nothing writes nothing") {
  UpdateRig rig(kBefore, kBefore, "-----");
  CHECK(rig.run() == 0);
  CHECK(rig.target.volume().calls().empty());
  CHECK(rig.is_up_to_date());
}

TEST_CASE("an update trusts the layer about the source, so it does not look elsewhere") {
  UpdateRig rig(kBefore, kAfter, "-XZ--");
  CHECK(rig.run() == 2 * kPiece);
  CHECK_FALSE(rig.is_up_to_date());
}

TEST_CASE("an update writes over what somebody wrote to the volume since its mark") {
  UpdateRig rig;
  rig.target.volume().scribble(10);               // where the layer has nothing
  rig.target.volume().scribble(4 * kPiece + 70);  // and both are zero
  CHECK(rig.run() == 5 * kPiece);
  CHECK(rig.is_up_to_date());
}

TEST_CASE("an update that is repeated ends the same") {
  UpdateRig rig;
  rig.run();
  CHECK(rig.run() == 3 * kPiece);
  CHECK(rig.is_up_to_date());
}

TEST_CASE("an update sees that what it wrote reads back differently") {
  UpdateRig rig;
  rig.target.volume().scribbled = GENERATE(70000, 3 * kPiece + 1, 5);
  try {
    rig.run();
    FAIL("it saw nothing");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kIo);
    CHECK(error.parts().offset == rig.target.volume().scribbled);
  }
}

TEST_CASE("an update of a source that is gone says so, and blames no storage for what it read") {
  UpdateRig rig;
  rig.target.volume().scribbled = 70000;
  rig.source.gone = true;
  try {
    rig.run();
    FAIL("it saw nothing");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConflict);
    CHECK(error.parts().cause == "it was removed");
  }
}

TEST_CASE("an update writes over what somebody writes to the volume meanwhile") {
  UpdateRig rig;
  rig.target.volume().scribbled = 4 * kPiece + 1;
  rig.target.volume().scribbles = 1;
  CHECK(rig.run(GENERATE(Verify::kYes, Verify::kNo)) == 4 * kPiece);
  CHECK(rig.is_up_to_date());
}

TEST_CASE("an update that is not to verify does not compare what it wrote") {
  UpdateRig rig;
  rig.target.volume().scribbled = 70000;
  CHECK_NOTHROW(rig.run(Verify::kNo));
  CHECK_FALSE(rig.is_up_to_date());
}

TEST_CASE("an update takes what counts as written and is the same for nothing new") {
  UpdateRig rig;
  rig.target.volume().object = 5 * kPiece;
  CHECK(rig.run() == 3 * kPiece);
  CHECK(rig.is_up_to_date());
  for (const Call& call : rig.target.volume().calls()) {
    CHECK((call.offset >= kPiece && call.offset < 4 * kPiece));
  }
}

TEST_CASE(
    "an update refuses a volume without that mark, or without marks, and one of another size") {
  UpdateRig rig;
  std::string mark = kMark;
  SECTION("another mark") { mark = "state 1"; }
  SECTION("no marks") { rig.target.volume().keeps = false; }
  try {
    rig.run(Verify::kYes, mark);
    FAIL("it was not refused");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConflict);
    CHECK(error.parts().cause == "it has no snapshot " + mark);
  }
  CHECK(rig.target.volume().calls().empty());

  UpdateRig longer("64K:A", "64K:A 64K:B", "-B");
  try {
    longer.run();
    FAIL("it was not refused");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConflict);
  }
  CHECK(longer.target.volume().calls().empty());
}

// Every call in turn: the failure is told, and the next run does all of it, as it sees what was
// written since the mark.
TEST_CASE("an update whose calls fail says so, and the next one is complete", "[sweep]") {
  uint64_t calls = 0;
  for (bool failed = true; failed; ++calls) {
    UpdateRig rig;
    rig.target.volume().scribble(10);
    rig.trouble.fail_at = calls;
    try {
      rig.run();
      REQUIRE_FALSE(rig.trouble.failed);
      CHECK(rig.is_up_to_date());
    } catch (const Error& error) {
      REQUIRE(rig.trouble.failed);
      CHECK(error.parts().cause == "made to");
    }
    failed = rig.trouble.failed;
    rig.trouble.fail_at.reset();
    CHECK(rig.run() >= 3 * kPiece);
    CHECK(rig.is_up_to_date());
  }
  CHECK(calls > 20);
}

}  // namespace
}  // namespace vmferry::test
