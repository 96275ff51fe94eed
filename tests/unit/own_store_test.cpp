// SPDX-License-Identifier: LGPL-2.1-or-later
// A store is one row: this one keeps disks in memory, and nothing else knows it.
#include "lib/store/store.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/test_sinks.h"
#include "vmferry/copy.h"
#include "vmferry/error.h"
#include "vmferry/open.h"
#include "vmferry/sparsify.h"
#include "vmferry/target.h"

namespace vmferry::test {
namespace {

struct Picture {
  std::string text;
};

/// Keeps what it is given.
class PictureTarget : public Target {
 public:
  explicit PictureTarget(uint64_t size) : sink_(size, {.starts_zeroed = true}) {}
  RecordingSink& sink() override { return sink_; }
  void publish() override {}

 private:
  RecordingSink sink_;
};

OpenBytes open_picture(const Location& at, const NetworkOptions& /*network*/) {
  return {.source = std::make_unique<PictureSource>(at.inside<Picture>().text),
          .identity = {.text = at.display()}};
}

std::unique_ptr<Target> make_picture(const Location& /*at*/, const TargetOptions& options) {
  return std::make_unique<PictureTarget>(options.size);
}

const Store kReadable = {.open = open_picture};
const Store kWritable = {.open = open_picture, .create = make_picture};

Location at(const Store& store, const std::string& text) {
  return {store, "picture:" + text, Picture{text}};
}

}  // namespace

TEST_CASE("a store of one's own is read and written by way of its row") {
  const OpenImage image = open_image(at(kReadable, "64K:A 1M:- 64K:B"), {});
  CHECK(image.guest->size() == (1 << 20) + (128 << 10));
  TargetOptions options;
  options.size = image.guest->size();
  const std::unique_ptr<Target> target = open_target(at(kWritable, ""), options);
  Progress progress;
  copy(*image.guest, target->sink(), {}, progress);
  CHECK(dynamic_cast<RecordingSink&>(target->sink()).calls() ==
        std::vector<Call>{{'W', 0, 64 << 10}, {'W', (1 << 20) + (64 << 10), 64 << 10}});
}

TEST_CASE("what a store has no entry for it cannot do") {
  const Location place = at(kReadable, "64K:A");
  CHECK(place.path().empty());
  CHECK(place.display() == "picture:64K:A");
  CHECK_THROWS_WITH(open_target(place, {}), Contains("can only be read"));
  Progress progress;
  CHECK_THROWS_WITH(sparsify_in_place(place, {}, progress), Contains("cannot give back space"));
  CHECK(!can_rehearse_in_place(place));
  CHECK(!allocated_bytes(place, {}));
  CHECK(unfinished_notes(place, {}).empty());
  CHECK_NOTHROW(remove_unfinished(place, {}));
}

}  // namespace vmferry::test
