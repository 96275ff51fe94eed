// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/call_log.h"

#include <fstream>
#include <sstream>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"
#include "tests/unit/temp_dir.h"

namespace vmferry::test {
namespace {

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line.substr(std::min<size_t>(line.size(), 24)));  // without the time
  }
  return lines;
}

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a log has a line for each call, and an open one for a call that hangs", "[migrate]") {
  TempDir dir;
  migrate::CallLog log(dir / "web1.log", {});
  log.ended(log.began("here: state web1"), "running");
  log.note("mirror the disks");
  log.began("here: pivot web1 vda");
  CHECK(lines_of(dir / "web1.log") == std::vector<std::string>{"here: state web1 = running (0 ms)",
                                                               "-- mirror the disks",
                                                               "here: pivot web1 vda"});
}

TEST_CASE("an answer that is as before takes no line", "[migrate]") {
  TempDir dir;
  migrate::CallLog log(dir / "web1.log", {});
  for (int i = 0; i < 5; ++i) {
    log.ended(log.began("here: block_job web1 vda"), "copy");
  }
  log.ended(log.began("here: block_job web1 vda"), "copy, ready");
  CHECK(lines_of(dir / "web1.log") ==
        std::vector<std::string>{
            "here: block_job web1 vda = copy (0 ms)",
            "here: block_job web1 vda = copy, ready (0 ms; the same answer as before 4 times)"});
}

TEST_CASE("calls of several threads have whole lines", "[migrate]") {
  TempDir dir;
  migrate::CallLog log(dir / "web1.log", {});
  const uint64_t migration = log.began("here: migrate web1 to there");
  log.ended(log.began("here: migration_stats web1"), "goes on");
  log.ended(log.began("here: migration_stats web1"), "goes on");
  log.ended(migration, "done");
  CHECK(lines_of(dir / "web1.log") ==
        std::vector<std::string>{"here: migrate web1 to there",
                                 "here: migration_stats web1 = goes on (0 ms)",
                                 "here: migrate web1 to there = done (0 ms)"});
}

TEST_CASE("a log goes on where it was, and a long one is kept", "[migrate]") {
  TempDir dir;
  { migrate::CallLog(dir / "web1.log", {}).note("one"); }
  { migrate::CallLog(dir / "web1.log", {}).note("two"); }
  CHECK(lines_of(dir / "web1.log") == std::vector<std::string>{"-- one", "-- two"});
  std::filesystem::resize_file(dir / "web1.log", 5 << 20);
  { migrate::CallLog(dir / "web1.log", {}).note("three"); }
  CHECK(lines_of(dir / "web1.log") == std::vector<std::string>{"-- three"});
  CHECK(std::filesystem::file_size(dir / "web1.log.old") == 5 << 20);
}

TEST_CASE("each way ends as it should while its calls are traced, and no secret is told",
          "[migrate]") {
  for (const WayUnderTest& way : all_ways()) {
    INFO(way.name);
    TempDir dir;
    Rig rig(way);
    rig.trace = std::make_shared<migrate::CallLog>(dir / "web1.log", nullptr);
    const Outcome outcome = rig.run(rig.plan());
    CHECK(outcome.done());
    CHECK(rig.problems_if_moved() == std::vector<std::string>{});
    const std::string text = text_of(dir / "web1.log");
    CHECK(text.find("alpha: state web1 = ") != std::string::npos);
    CHECK(text.find(kSecretKey) == std::string::npos);
    CHECK(text.find("<domain") == std::string::npos);
    for (const std::string& line : lines_of(dir / "web1.log")) {
      CHECK(line.find(" = ") != std::string::npos);
    }
  }
}

}  // namespace vmferry::test
