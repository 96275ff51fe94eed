// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <map>

#include "tests/unit/migrate_rig.h"

// At which calls of a run a failure, a death or an event makes a difference.

namespace vmferry::test {
namespace {

/// What `find` finds of a way, once in the life of the process: each run makes the same calls.
template <typename Answer, typename Find>
const Answer& once(std::map<std::string, Answer>& known, const WayUnderTest& way, Find find) {
  const auto place = known.find(way.name);
  return place != known.end() ? place->second : known.emplace(way.name, find()).first->second;
}

std::vector<std::string> find_calls(const WayUnderTest& way) {
  Rig rig(way);
  rig.world().arm(0, Fault::kNone);
  rig.run(rig.plan_of_way());
  return rig.world().log();
}

std::vector<unsigned> find_moments(const WayUnderTest& way) {
  Rig rig(way);
  std::vector<unsigned> moments;
  const unsigned first = first_own_call(way);
  std::string before;
  rig.world().arm(0, Fault::kNone);
  rig.world().hook = [&](unsigned n, const std::string& call) {
    std::string now = rig.state_text() + rig.world().outline();
    if (n >= first && (now != before || changes_something(call))) {
      moments.push_back(n);
    }
    before = std::move(now);
  };
  rig.run(rig.plan_of_way());
  return moments;
}

}  // namespace

const std::vector<std::string>& calls_of(const WayUnderTest& way) {
  static std::map<std::string, std::vector<std::string>> known;
  return once(known, way, [&way] { return find_calls(way); });
}

unsigned first_own_call(const WayUnderTest& way) {
  const WayUnderTest& first = all_ways().front();
  if (way.name == first.name || !way.name.starts_with("staged")) {
    return 1;
  }
  const std::vector<std::string>& theirs = calls_of(first);
  const std::vector<std::string>& own = calls_of(way);
  const auto parted = std::mismatch(own.begin(), own.end(), theirs.begin(), theirs.end()).first;
  return static_cast<unsigned>(parted - own.begin()) + 1;
}

bool changes_something(const std::string& call) {
  static const std::set<std::string> kAsking = {
      "known_snapshots", "facts",        "state",       "persistent",    "definition",
      "uuid_of",         "name_of_uuid", "disk_sizes",  "has_job",       "busy",
      "autostart",       "block_job",    "find_secret", "prove_access",  "volume",
      "user_key",        "same",         "file_exists", "look",          "image_parts",
      "domains",         "writers",      "free_space",  "last_downtime", "file_allocation"};
  const size_t host = call.find(": ");
  return !kAsking.contains(host == std::string::npos ? call : call.substr(host + 2));
}

const std::vector<unsigned>& moments_of(const WayUnderTest& way) {
  static std::map<std::string, std::vector<unsigned>> known;
  return once(known, way, [&way] { return find_moments(way); });
}

}  // namespace vmferry::test
