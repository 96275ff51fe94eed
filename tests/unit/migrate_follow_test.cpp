// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/follow_snapshots.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/catch.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

using migrate::FollowingVolume;
using Origin = CopiedSnapshot::Origin;

/// A new volume in memory, with what was written down of its snapshots.
class FollowingInMemory : public FollowingVolume {
 public:
  std::vector<CopiedSnapshot> snapshots() override { return all; }
  std::string remove(const CopiedSnapshot& snapshot) override {
    come();
    if (in_use.contains(snapshot.id)) {
      return "a clone of it uses it";
    }
    std::erase_if(all, [&](const CopiedSnapshot& one) { return one.id == snapshot.id; });
    return {};
  }
  void rename(const std::string& from, const std::string& to) override {
    come();
    if (to == hidden || std::any_of(all.begin(), all.end(),
                                    [&](const CopiedSnapshot& one) { return one.name == to; })) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = from,
                   .action = "rename",
                   .cause = "there is one"});
    }
    const auto it = std::find_if(all.begin(), all.end(),
                                 [&](const CopiedSnapshot& one) { return one.name == from; });
    REQUIRE(it != all.end());
    it->name = to;
  }
  void tell(const std::string& text) override { told += text + "\n"; }

  /// "NAME=STATE": a copy of that state; "NAME": somebody's.
  void add(const std::string& text) {
    const size_t at = text.find('=');
    CopiedSnapshot one = {.name = text.substr(0, at), .id = std::to_string(all.size() + 100)};
    if (at != std::string::npos) {
      one.origin = Origin::kCopy;
      one.state_id = text.substr(at + 1);
    }
    all.push_back(one);
  }
  std::string text() const {
    std::string text;
    for (const CopiedSnapshot& one : all) {
      text +=
          (text.empty() ? "" : " ") + one.name + (one.state_id.empty() ? "" : "=") + one.state_id;
    }
    return text;
  }

  std::vector<CopiedSnapshot> all;
  std::set<std::string> in_use;
  std::string hidden;  ///< a name that something else has
  std::string told;
  std::optional<unsigned> dies_at;
  bool died = false;

 private:
  void come() {
    if (dies_at && calls_++ == *dies_at) {
      died = true;
      throw Error(
          {.kind = ErrorKind::kIo, .object = "volume", .action = "call", .cause = "made to"});
    }
  }
  unsigned calls_ = 0;
};

std::vector<Point> states_of(const std::vector<std::pair<std::string, std::string>>& names) {
  std::vector<Point> states;
  states.reserve(names.size());
  for (const auto& [name, id] : names) {
    states.push_back({.name = name, .id = id});
  }
  return states;
}

FollowingInMemory volume_with(const std::vector<std::string>& snapshots) {
  FollowingInMemory volume;
  for (const std::string& one : snapshots) {
    volume.add(one);
  }
  return volume;
}

TEST_CASE("snapshots that are as those of the old volume stay as they are", "[migrate][sync]") {
  auto volume = volume_with({"a=1", "mine", "vmferry-sync-1", "b=2"});
  follow_snapshots(states_of({{"a", "1"}, {"vmferry-sync-1", "9"}, {"b", "2"}}), 3, volume);
  CHECK(volume.text() == "a=1 mine vmferry-sync-1 b=2");
  CHECK(volume.told.empty());
}

TEST_CASE("a snapshot that is gone at the old volume goes, and that is told", "[migrate][sync]") {
  auto volume = volume_with({"a=1", "b=2", "c=3"});
  follow_snapshots(states_of({{"b", "2"}}), 1, volume);
  CHECK(volume.text() == "b=2");
  CHECK(volume.told ==
        "its snapshot a is removed: the old volume has it no more\n"
        "its snapshot c is removed: the old volume has it no more\n");
}

TEST_CASE("a snapshot that is renamed at the old volume is renamed, two that swap too",
          "[migrate][sync]") {
  auto volume = volume_with({"a=1", "b=2", "c=3"});
  follow_snapshots(states_of({{"b", "1"}, {"a", "2"}, {"d", "3"}}), 3, volume);
  CHECK(volume.text() == "b=1 a=2 d=3");
  CHECK(volume.told ==
        "its snapshot a is called b now, as that of the old volume is\n"
        "its snapshot b is called a now, as that of the old volume is\n"
        "its snapshot c is called d now, as that of the old volume is\n");
}

TEST_CASE("a snapshot that is made again leaves its name to the new one", "[migrate][sync]") {
  auto volume = volume_with({"s6=6"});
  const std::vector<Point> states = states_of({{"s6", "7"}});
  SECTION("it goes") {
    follow_snapshots(states, 0, volume);
    CHECK(volume.text().empty());
  }
  SECTION("it has a clone") {
    volume.in_use.insert("100");
    follow_snapshots(states, 0, volume);
    CHECK(volume.text() == "s6-old=6");
    CHECK(volume.told ==
          "warning: its snapshot s6 stays, which is none of the old volume any more, and is called "
          "s6-old now: a clone of it uses it\n");
    volume.add("s6=7");
    volume.told.clear();
    follow_snapshots(states, 1, volume);
    CHECK(volume.text() == "s6-old=6 s6=7");
    CHECK(volume.told.find("warning: its snapshot s6-old stays") == 0);
    volume.in_use.clear();
    follow_snapshots(states, 1, volume);
    CHECK(volume.text() == "s6=7");
  }
}

TEST_CASE("what a person made on the new volume is renamed at most", "[migrate][sync]") {
  auto volume = volume_with({"mine", "b", "b-old", "a=1"});
  follow_snapshots(states_of({{"c", "1"}, {"b", "2"}}), 1, volume);
  CHECK(volume.text() == "mine b-old-2 b-old c=1");
  CHECK(volume.told.find("warning: its snapshot b, which this warm move did not make, is called "
                         "b-old-2 now") != std::string::npos);
}

// Those of an earlier version, of which it was not written down which ones they are.
TEST_CASE("a snapshot that somebody may have made is not removed", "[migrate][sync]") {
  auto volume = volume_with({"a=1", "b=2", "c=3"});
  for (CopiedSnapshot& one : volume.all) {
    one.origin = Origin::kPerhapsCopy;
  }
  follow_snapshots(states_of({{"d", "2"}, {"c", "4"}}), 1, volume);
  CHECK(volume.text() == "a=1 d=2 c-old=3");
  CHECK(volume.told.find("warning: its snapshot a stays") != std::string::npos);
}

TEST_CASE("a name that cannot be had is told", "[migrate][sync]") {
  auto volume = volume_with({"a=1"});
  volume.hidden = "b";
  follow_snapshots(states_of({{"b", "1"}}), 1, volume);
  CHECK(volume.text() == "a=1");
  CHECK(volume.told.find("warning: its snapshot a keeps that name") == 0);
}

TEST_CASE("names that a copy cannot have are not followed", "[migrate][sync]") {
  auto volume = volume_with({"a_b=1", "plain=2"});
  follow_snapshots(states_of({{"a@b", "1"}, {"vmferry-sync-77", "2"}}), 2, volume);
  CHECK(volume.text() == "a_b=1 plain=2");
}

TEST_CASE("of two copies of a state the later one counts", "[migrate][sync]") {
  auto volume = volume_with({"a=1", "a-2=1"});
  follow_snapshots(states_of({{"a", "1"}}), 1, volume);
  CHECK(volume.text() == "a=1");
  CHECK(volume.all.front().id == "101");
}

TEST_CASE("who dies while snapshots follow is followed by one who ends it",
          "[migrate][sync][sweep]") {
  const std::vector<Point> states =
      states_of({{"b", "1"}, {"c", "2"}, {"a", "3"}, {"d", "5"}, {"held", "6"}});
  unsigned calls = 0;
  for (bool died = true; died; ++calls) {
    auto volume = volume_with({"a=1", "b=2", "c=3", "gone=4", "d", "held=7"});
    volume.in_use.insert("105");
    volume.dies_at = calls;
    try {
      follow_snapshots(states, 3, volume);
    } catch (const Error& error) {
      REQUIRE(error.kind() == ErrorKind::kIo);
    }
    died = volume.died;
    volume.dies_at.reset();
    follow_snapshots(states, 3, volume);
    CHECK(volume.text() == "b=1 c=2 a=3 d-old held-old=7");
  }
  CHECK(calls > 6);
}

}  // namespace
}  // namespace vmferry::test
