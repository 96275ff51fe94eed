// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <filesystem>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <thread>

#include "lib/core/block_walker.h"
#include "lib/core/format_bytes.h"
#include "lib/core/parse_size.h"
#include "lib/core/utc_time.h"
#include "lib/core/workers.h"
#include "lib/core/zeros.h"
#include "tests/unit/catch.h"
#include "vmferry/buffer.h"
#include "vmferry/error.h"

namespace vmferry::test {

TEST_CASE("is_zero looks at every byte") {
  std::vector<std::byte> bytes(1000);
  for (size_t size = 0; size <= 600; ++size) {
    REQUIRE(is_zero({bytes.data() + 3, size}));
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] = std::byte{1};
    REQUIRE_FALSE(is_zero(bytes));
    REQUIRE(is_zero({bytes.data(), at}));
    bytes[at] = std::byte{0};
  }
}

TEST_CASE("zero runs are whole pieces counted from the start of the disk") {
  std::vector<std::byte> bytes(3 * 4096, std::byte{0});
  bytes[5000] = std::byte{1};
  std::vector<Extent> runs;
  split_zeros(0, bytes, 4096, runs);
  CHECK(runs == std::vector<Extent>{{0, 4096, ExtentKind::kZero},
                                    {4096, 4096, ExtentKind::kData},
                                    {8192, 4096, ExtentKind::kZero}});
  runs.clear();
  split_zeros(100, std::span(bytes).first(4100), 4096, runs);
  CHECK(runs == std::vector<Extent>{{100, 4100, ExtentKind::kZero}});
}

TEST_CASE("a time is read as it is written") {
  CHECK(parse_utc_time(utc_time({.tv_sec = 1'795'840'000, .tv_nsec = 5})) == 1'795'840'000);
  CHECK_FALSE(parse_utc_time("yesterday"));
  CHECK_FALSE(parse_utc_time(""));
}

TEST_CASE("sizes are read as people write them") {
  CHECK(parse_size("512") == 512);
  CHECK(parse_size("4M") == 4 << 20);
  CHECK(parse_size("64KiB") == 65536);
  CHECK(parse_size("1.5g") == 3u << 29);
  CHECK(parse_size("10B") == 10);
  CHECK_THROWS_AS(parse_size("1.5"), Error);  // of what?
  for (const char* bad : {"", "M", "-1", "0", "4X", "4MM", "1e30", "nan", "9E", "4 M", "0x10"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_size(bad), Error);
  }
}

TEST_CASE("messages name the very byte") {
  CHECK(exact_bytes(4 << 20) == "4 MiB");
  CHECK(exact_bytes((4 << 20) + 1) == "4194305");
  CHECK(exact_bytes(0) == "0");
  CHECK(about_bytes(392167424) == "374.0 MiB");
  const Error error({.object = "rbd:vms/web1",
                     .action = "write",
                     .offset = 4 << 20,
                     .cause = "No space left on device"});
  CHECK(std::string(error.what()) == "rbd:vms/web1: write at 4 MiB: No space left on device");
}

TEST_CASE("a pool hands out no more than its buffers, and takes them back from slices") {
  BufferPool pool(2, 4096);
  auto first = std::make_unique<Buffer>(pool.acquire({}));
  Slice slice = first->slice(10, 20);
  const Buffer second = pool.acquire({});
  first.reset();
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  CHECK_THROWS_AS(pool.acquire(stop.get_token()), Error);  // the slice still holds it
  std::jthread giver([&] { slice = Slice(); });
  CHECK(pool.acquire({}).bytes().size() == 4096);
}

TEST_CASE("a buffer may outlive its pool") {
  auto pool = std::make_unique<BufferPool>(1, 4096);
  Buffer buffer = pool->acquire({});
  pool.reset();
  buffer.bytes()[0] = std::byte{1};
}

TEST_CASE("the first error of any worker is the one that is thrown, and the others stop") {
  auto work = [](std::stop_token stop) {
    static std::atomic<int> number = 0;
    if (number++ == 1) {
      throw Error({.kind = ErrorKind::kIo, .object = "x", .action = {}, .cause = "real"});
    }
    while (!stop.stop_requested()) {
      std::this_thread::yield();
    }
    throw cancelled_error();
  };
  CHECK_THROWS_WITH(run_workers(4, {}, work), "x: real");
}

TEST_CASE("who asks for workers is one of them") {
  std::mutex mutex;
  std::multiset<std::thread::id> ran;
  run_workers(3, {}, [&](std::stop_token) {
    const std::lock_guard lock(mutex);
    ran.insert(std::this_thread::get_id());
  });
  CHECK(ran.size() == 3);
  CHECK(ran.count(std::this_thread::get_id()) == 1);
}

TEST_CASE("every exception can be told") {
  const auto no_file = std::make_error_code(std::errc::no_such_file_or_directory);
  const Error own({.kind = ErrorKind::kUsage, .object = "x", .action = {}, .cause = "odd"});
  CHECK(as_error(own).kind() == ErrorKind::kUsage);
  CHECK(std::string(as_error(std::bad_alloc()).what()) == "out of memory");
  CHECK(as_error(std::bad_alloc()).hint().find("ulimit -v") != std::string::npos);
  const Error file = as_error(std::filesystem::filesystem_error("absolute", "a/b", no_file));
  CHECK(std::string(file.what()) == "a/b: look at: No such file or directory");
  CHECK(file.kind() == ErrorKind::kNotFound);
  const Error system = as_error(std::system_error(no_file, "look"));
  CHECK(std::string(system.what()) == "look: No such file or directory");
  CHECK(as_error(std::logic_error("1")).hint() == "please report this");
}

TEST_CASE("the walker steps over zeros at once and announces what comes") {
  std::vector<uint64_t> announced;
  int asked = 0;
  BlockWalker walker({.size = uint64_t{8} << 40,
                      .block = 4 << 20,
                      .ahead = 2,
                      .with_zeros = false,
                      .zeros_at = [&](uint64_t offset, uint64_t max) -> uint64_t {
                        ++asked;
                        const uint64_t data = uint64_t{5} << 40;
                        if (offset < data) {
                          return data - offset;
                        }
                        return offset < data + (6 << 20) ? 0 : max;
                      },
                      .announce = [&](uint64_t offset, uint64_t) { announced.push_back(offset); }});
  const uint64_t at = uint64_t{5} << 40;
  CHECK(walker.next() == Extent{at, 4 << 20, ExtentKind::kData});
  CHECK(announced == std::vector<uint64_t>{at, at + (4 << 20)});
  CHECK(walker.next() == Extent{at + (4 << 20), 4 << 20, ExtentKind::kData});
  CHECK_FALSE(walker.next().has_value());
  CHECK(asked < 8);
}

TEST_CASE("the walker stops between two questions about zeros") {
  std::stop_source stop;
  int asked = 0;
  BlockWalker walker({.size = uint64_t{64} << 40,
                      .block = 4 << 20,
                      .ahead = 2,
                      .with_zeros = false,
                      .zeros_at = [&](uint64_t, uint64_t max) -> uint64_t {
                        if (++asked == 3) {
                          stop.request_stop();
                        }
                        return std::min<uint64_t>(max, 1 << 30);
                      },
                      .announce = {}});
  CHECK_THROWS_AS(walker.next(stop.get_token()), Error);
  CHECK(asked == 3);
}

}  // namespace vmferry::test
