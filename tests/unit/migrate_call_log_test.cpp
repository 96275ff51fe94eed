// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/call_log.h"

#include <fstream>
#include <regex>
#include <thread>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/text_file.h"

namespace vmferry::test {
namespace {

using namespace std::chrono_literals;
using Kind = CallTrace::Kind;

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    // Without the time of day, and however long it took.
    line = line.substr(std::min<size_t>(line.size(), 24));
    lines.push_back(std::regex_replace(line, std::regex("\\([0-9]+ ms"), "(0 ms"));
  }
  return lines;
}

}  // namespace

TEST_CASE("changes and slow calls are told when they begin, answers when they are others",
          "[migrate]") {
  TempDir dir;
  migrate::CallLog log(dir / "web1.log", "first", {}, 1s);
  log.ended(log.began("here: state web1", Kind::kAsks), "running");
  for (int i = 0; i < 3; ++i) {
    log.ended(log.began("here: block_job web1 vda", Kind::kAsks), "copy");
  }
  log.note("mirror the disks");
  log.ended(log.began("here: block_job web1 vda", Kind::kAsks), "copy, ready");
  log.ended(log.began("here: pivot web1 vda", Kind::kChanges), "done");
  log.ended(log.began("here: pivot web1 vda", Kind::kChanges), "done");
  log.began("here: state web1", Kind::kAsks);
  const auto slow = [&] {
    return read_text(dir / "web1.log").find("state web1 ...") != std::string::npos;
  };
  for (int i = 0; i < 200 && !slow(); ++i) {
    std::this_thread::sleep_for(50ms);
  }
  CHECK(lines_of(dir / "web1.log") ==
        std::vector<std::string>{"-- first", "here: state web1 = running (0 ms)",
                                 "here: block_job web1 vda = copy (0 ms)", "-- mirror the disks",
                                 "here: block_job web1 vda = copy, ready (0 ms; the answer before "
                                 "came 3 times)",
                                 "here: pivot web1 vda ...", "here: pivot web1 vda = done (0 ms)",
                                 "here: pivot web1 vda ...", "here: pivot web1 vda = done (0 ms)",
                                 "here: state web1 ..."});
}

TEST_CASE("a run that only asks leaves no log", "[migrate]") {
  TempDir dir;
  std::string said;
  {
    migrate::CallLog log(dir / "web1.log", "first", [&](const std::string& line) { said += line; });
    log.ended(log.began("here: state web1", Kind::kAsks), "absent");
  }
  CHECK_FALSE(std::filesystem::exists(dir / "web1.log"));
  CHECK(said.starts_with("here: state web1 = absent ("));
}

TEST_CASE("a log goes on where it was, also one that is being written; a long one is kept",
          "[migrate]") {
  TempDir dir;
  const std::string path = dir / "web1.log";
  migrate::CallLog one(path, "one", {});
  one.note("a");
  migrate::CallLog two(path, "two", {});
  two.note("b");
  one.note("c");
  CHECK(lines_of(path) == std::vector<std::string>{"-- one", "-- a", "-- two", "-- b", "-- c"});
  std::filesystem::resize_file(path, 5 << 20);
  migrate::CallLog(path, "three", {}).note("d");
  CHECK_FALSE(std::filesystem::exists(path + ".old"));  // the first has it still
}

TEST_CASE("a long log is put aside, and no link is followed", "[migrate]") {
  TempDir dir;
  const std::string path = dir / "web1.log";
  write_text(path, "x");
  std::filesystem::resize_file(path, 5 << 20);
  migrate::CallLog(path, "three", {}).note("d");
  CHECK(lines_of(path) == std::vector<std::string>{"-- three", "-- d"});
  CHECK(std::filesystem::file_size(path + ".old") == 5 << 20);
  std::filesystem::create_symlink(dir / "elsewhere", dir / "web2.log");
  migrate::CallLog(dir / "web2.log", "first", {}).note("d");
  CHECK_FALSE(std::filesystem::exists(dir / "elsewhere"));
}

TEST_CASE("each way ends as it should while its calls are traced, and no secret is told",
          "[migrate]") {
  for (const WayUnderTest& way : all_ways()) {
    INFO(way.name);
    TempDir dir;
    Rig rig(way);
    rig.trace = std::make_shared<migrate::CallLog>(dir / "web1.log", "first", nullptr);
    const Outcome outcome = rig.run(rig.plan());
    CHECK(outcome.done());
    CHECK(rig.problems_if_moved() == std::vector<std::string>{});
    const std::string text = read_text(dir / "web1.log");
    CHECK(text.find("alpha: state web1 = ") != std::string::npos);
    CHECK(text.find(" ...\n") != std::string::npos);
    CHECK(text.find(kSecretKey) == std::string::npos);
    CHECK(text.find("<domain") == std::string::npos);
    for (const std::string& line : lines_of(dir / "web1.log")) {
      const bool is_told = line.starts_with("-- ") || line.ends_with(" ...");
      CHECK((is_told || line.find(" = ") != std::string::npos));
    }
  }
}

}  // namespace vmferry::test
