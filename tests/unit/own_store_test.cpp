// SPDX-License-Identifier: LGPL-2.1-or-later
// A store is one row: this one keeps disks in memory, and nothing else knows it.
#include "lib/store/store.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/test_sinks.h"
#include "vmferry/base.h"
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

std::string kept_digest_text;  // of the only snapshot that there is
int digests_kept = 0;

const Store kKeeper = {
    .open = open_picture,
    .kept_digest = [](const Location& /*at*/,
                      const NetworkOptions& /*network*/) { return kept_digest_text; },
    .keep_digest =
        [](const Location& /*at*/, const NetworkOptions& /*network*/, const std::string& digest) {
          kept_digest_text = digest;
          ++digests_kept;
        }};
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

TEST_CASE("the image below that a base holds is known by its digest") {
  const auto image = [](const char* picture) -> std::shared_ptr<const Source> {
    return std::make_shared<PictureSource>(picture);
  };
  kept_digest_text.clear();
  digests_kept = 0;
  const Location base = at(kKeeper, "64K:A 1M:- 64K:B");
  // The third one holds the same in another way.
  const std::vector<std::shared_ptr<const Source>> below = {
      image("64K:A 64K:B"), image("64K:A 1M:- 64K:C"), image("64K:A 512K:0 512K:- 64K:B")};
  CHECK(find_base_below(below, base, {}, {}) == 3);
  CHECK(digests_kept == 1);
  CHECK(find_base_below(below, base, {}, {}) == 3);
  CHECK(digests_kept == 1);
  // None has the base's size: nothing is read.
  CHECK(find_base_below({below[0]}, base, {}, {}) == 0);
  CHECK(find_base_below({}, base, {}, {}) == 0);
  kept_digest_text = "xxh64t:0000000000000000";
  CHECK(find_base_below(below, base, {}, {}) == 0);
}

TEST_CASE("only a store that makes clones has bases") {
  TargetOptions options;
  options.size = 64 << 10;
  options.base = at(kReadable, "64K:A");
  CHECK_THROWS_WITH(open_target(at(kWritable, ""), options), Contains("only an RBD volume"));
}

}  // namespace vmferry::test
